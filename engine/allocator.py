"""Memory of blocks that are done is there for the next ones, whichever thread makes them."""

import ctypes
import sys
from functools import cache

_M_ARENA_MAX = -8
_HEAPS = 2


@cache
def share_heaps() -> None:
    """Have the C library of Linux keep two heaps for all threads, from now on; others need no word.

    Left to itself, glibc makes up to eight a core (mallopt(3), M_ARENA_MAX), and each keeps the blocks that its threads
    had. DuckDB has an allocator of its own.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_ARENA_MAX, _HEAPS)
