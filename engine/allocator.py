"""Memory of blocks goes back to the system when a block is done."""

import ctypes
import sys
from functools import cache

_M_MMAP_THRESHOLD = -3
_LEAST_BYTES = 1024 * 1024


@cache
def return_large_pieces() -> None:
    """Have the C library of Linux map pieces of 1 MiB or more by themselves, now and later; others need no word.

    Left to itself, glibc raises that bound to the largest piece that was freed (mallopt(3), M_MMAP_THRESHOLD); blocks
    of 4 MiB are then kept in the heaps of all threads that ever made one, and memory grows with the size of exports.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _LEAST_BYTES)
