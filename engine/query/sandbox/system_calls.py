"""The system calls that the process of a statement may make: the data of `seccomp`.

Once imported, Python and DuckDB compute, start threads and use open pipes. Names and numbers are from the kernel's
table for each machine; None where a machine does not have the call.
"""

from collections.abc import Mapping

MACHINES: Mapping[str, tuple[int, int]] = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""The machine's column in the tables below, and its ``AUDIT_ARCH_*`` number."""

Numbers = tuple[int | None, int | None]

ALLOWED: Mapping[str, Numbers] = {
    # Reading and writing open descriptors.
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67), "lseek": (8, 62),
    "close": (3, 57), "dup": (32, 23), "poll": (7, None), "ppoll": (271, 73), "getdents64": (217, 61),
    "fadvise64": (221, 223),
    # Looking at files, which Landlock restricts.
    "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None),
    "readlinkat": (267, 78), "getcwd": (79, 17), "statfs": (137, 43), "fstatfs": (138, 44),
    # Memory.
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233),
    "mincore": (27, 232), "brk": (12, 214), "membarrier": (324, 283),
    # Threads, and signals within the process.
    "futex": (202, 98), "set_robust_list": (273, 99), "get_robust_list": (274, 100), "rseq": (334, 293),
    "set_tid_address": (218, 96), "exit": (60, 93), "exit_group": (231, 94), "restart_syscall": (219, 128),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "sched_setaffinity": (203, 122),
    "sched_getparam": (143, 121), "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126), "getcpu": (309, 168),
    # Clocks and randomness.
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "getrandom": (318, 278),
    # Information about the process, and its limits, which it can only lower without capabilities.
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "uname": (63, 160), "sysinfo": (99, 179), "getrusage": (98, 165),
    "getrlimit": (97, 163), "setrlimit": (160, 164), "getpriority": (140, 141),
}  # fmt: skip

FATAL: Mapping[str, Numbers] = {
    "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
}  # fmt: skip
"""No library in use makes these calls, so an attacker controls a process that does."""

NOT_IMPLEMENTED: Mapping[str, Numbers] = {"clone3": (435, 435)}
"""The flags of clone3 are in memory, which a filter cannot read; on ENOSYS, libc falls back to clone."""

_CLONE_THREAD = 0x00010000
_CLONE_NEW = 0x7E020000 | 0x00002000
"""Flags for new namespaces and for tracing."""
_WRITES = 0o3 | 0o100 | 0o1000 | 0o20000000
"""Flags for writing, creating, truncating and unnamed files."""

MASKED: Mapping[str, tuple[Numbers, int, int, int]] = {
    "clone": ((56, 220), 0, _CLONE_THREAD | _CLONE_NEW, _CLONE_THREAD),
    "open": ((2, None), 1, _WRITES, 0),
    "openat": ((257, 56), 2, _WRITES, 0),
}
"""Allowed if ``argument & mask == value``: numbers, index of the argument, mask, value."""

CHOSEN: Mapping[str, tuple[Numbers, int, tuple[int, ...]]] = {
    # Get and set the name of a thread.
    "prctl": ((157, 167), 0, (15, 16)),
    # Flags and duplicates of a descriptor, but not which process gets its signals.
    "fcntl": ((72, 25), 1, (0, 1, 2, 3, 1030)),
    # TCGETS and FIOCLEX.
    "ioctl": ((16, 29), 1, (0x5401, 0x5451)),
    # Limits of this process.
    "prlimit64": ((302, 261), 0, (0,)),
}
"""Allowed if an argument is one of the values: numbers, index of the argument, values."""

OWN_PROCESS: Mapping[str, tuple[Numbers, int]] = {"tgkill": ((234, 131), 0)}
"""Allowed if an argument is the process's own id, as in abort: numbers, index of the argument."""
