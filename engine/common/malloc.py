"""Tunes glibc's malloc so that the memory of freed blocks returns to the system."""

import ctypes
import sys
from functools import cache

MIB = 1024 * 1024
_M_ARENA_MAX = -8
_M_MMAP_THRESHOLD = -3
_M_TRIM_THRESHOLD = -1
_MAX_ARENAS = 2
_MMAP_THRESHOLD_BYTES = 2 * MIB
_TRIM_THRESHOLD_BYTES = 32 * MIB


@cache
def tune_malloc() -> None:
    """Limit glibc to two arenas, and let it allocate blocks of 2 MiB and more outside them. Changes the whole process.

    By default glibc makes up to eight arenas a core (mallopt(3), M_ARENA_MAX), each of which retains freed memory. Once
    a block has been freed it also allocates blocks within the arenas (M_MMAP_THRESHOLD rises), which fragments them the
    longer an export runs. DuckDB has its own allocator, and other C libraries are left as they are.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_ARENA_MAX, _MAX_ARENAS)
        library.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
