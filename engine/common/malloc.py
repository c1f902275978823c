"""Memory of blocks that are done goes back to the system, or is there for the next ones whichever thread makes them."""

import ctypes
import sys
from functools import cache

MIB = 1024 * 1024
_M_ARENA_MAX = -8
_M_MMAP_THRESHOLD = -3
_M_TRIM_THRESHOLD = -1
_HEAPS = 2
_BLOCK_BYTES = 2 * MIB
_KEPT_BYTES = 32 * MIB


@cache
def set_heaps() -> None:
    """Have the C library of Linux keep two heaps for all threads, and none of the blocks; others need no word.

    Left to itself, glibc makes up to eight heaps a core (mallopt(3), M_ARENA_MAX), and each keeps what its threads had;
    and once a block was freed, blocks are cut from the heaps (M_MMAP_THRESHOLD rises), which get more holes the longer
    an export runs. DuckDB has an allocator of its own.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_ARENA_MAX, _HEAPS)
        library.mallopt(_M_MMAP_THRESHOLD, _BLOCK_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
