"""What a process gives up for good before it runs a stranger's SQL: files, hosts, memory, time.

Limits are the kernel's (``setrlimit``), and Landlock where the kernel has it (files from Linux 5.13, TCP from 6.7).
Landlock binds the thread that asks and those that it starts, so it is asked for before DuckDB is opened.
"""

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_CREATE_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_FILE_RIGHTS = (1 << 16) - 1
_NET_RIGHTS = 3
_NET_SINCE = 4

_OURS = str(Path(__file__).parents[2])
_SYSTEM = ("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/usr/lib")
"""What DuckDB and Python look at to know the machine and themselves; nobody's data."""


def confine(*, memory_bytes: int, cpu_seconds: int) -> bool:
    """Give up everything but reading the interpreter's own files. True if Landlock closes files and TCP as well."""
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(limit, (value, value))
    return sys.platform == "linux" and _landlock({sys.prefix, sys.base_prefix, _OURS, *_SYSTEM})


def start_no_more() -> None:
    """Start neither processes nor threads from now on; those that run go on. The kernel does not hold root to it."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _landlock(readable: Iterable[str]) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), _CREATE_VERSION)
    if version < 1:
        return False
    rights = _FILE_RIGHTS.get(version, _ALL_FILE_RIGHTS)
    attributes = struct.pack("<Q", rights)
    if version >= _NET_SINCE:
        attributes += struct.pack("<Q", _NET_RIGHTS)
    rules = libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    try:
        for path in readable:
            _allow_reading(libc, rules, path)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        # An older kernel closes what it can; hosts stay open there, and that is not enough.
        return bool(libc.syscall(_RESTRICT, rules, 0) == 0) and version >= _NET_SINCE
    finally:
        os.close(rules)


def _allow_reading(libc: ctypes.CDLL, rules: int, path: str) -> None:
    if not path or not Path(path).exists():
        return
    folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | (_READ_FOLDER if Path(path).is_dir() else 0)
        libc.syscall(_ADD, rules, _PATH_BENEATH, struct.pack("<Qi", rights, folder), 0)
    finally:
        os.close(folder)
