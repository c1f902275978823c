"""Confine a process before it runs a caller's SQL: no files, hosts, other processes or privileges; limited memory and
time.

The kernel enforces all of it, so it also holds for code that breaks out of DuckDB. Most restrictions apply to the
calling thread and the threads that it starts, so they are set before DuckDB is opened.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.query.sandbox.landlock import REQUIRED_VERSION, Landlock
from engine.query.sandbox.seccomp import filter_system_calls

FILES_AND_HOSTS = f"Landlock {REQUIRED_VERSION} (Linux 6.7), which closes files and TCP"
SYSTEM_CALLS = "seccomp, which closes processes, sockets and signals (x86-64 or AArch64)"

_NO_NEW_PRIVILEGES, _DIE_WITH_PARENT, _DUMPABLE = 38, 1, 4
_DROP_BOUNDING, _AMBIENT, _CLEAR_AMBIENT = 24, 47, 4
_SET_CAPABILITIES = {"x86_64": 126, "aarch64": 91}
_CAPABILITIES_VERSION = 0x20080522
_LAST_CAPABILITY = 63
_NOBODY = 65534
"""The user ``nobody`` on Linux, which owns no files."""

_ENGINE = str(Path(__file__).parents[2])
_SYSTEM = ("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/usr/lib")
"""Paths by which DuckDB and Python learn about the machine and themselves; none has data of anyone."""


def confine(*, memory_bytes: int, cpu_seconds: int) -> tuple[str, ...]:
    """Restrict this process for good to computing and to reading the interpreter's own files.

    Returns descriptions of what this kernel cannot enforce; an empty tuple if it enforces everything.
    """
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(limit, (value, value))
    if sys.platform != "linux":
        return FILES_AND_HOSTS, SYSTEM_CALLS
    # Opens the paths, which may need the privileges that are dropped next.
    landlock = Landlock([sys.prefix, sys.base_prefix, _ENGINE, *_SYSTEM])
    _give_up_privileges()
    missing = [] if landlock.enforce() else [FILES_AND_HOSTS]
    # Last, since the steps before need system calls that it blocks.
    if not filter_system_calls():
        missing.append(SYSTEM_CALLS)
    return tuple(missing)


@dataclass(frozen=True, slots=True)
class Confinement:
    """What `confine` achieves: descriptions of what the kernel cannot enforce, and whether the process stays root."""

    missing: tuple[str, ...]
    stays_root: bool = False


def check_confinement() -> Confinement:
    """Return what `confine` achieves on this machine. Uses another process, since `confine` cannot be undone."""
    script = "import json, os; from engine.query.sandbox.confinement import confine; "
    script += "print(json.dumps([confine(memory_bytes=1_000_000_000, cpu_seconds=10), os.geteuid() == 0]))"
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(  # noqa: S603  # our own module
        [sys.executable, "-s", "-P", "-c", script], env=environment, stdout=subprocess.PIPE, check=True
    )
    missing, stays_root = json.loads(done.stdout)
    return Confinement(tuple(missing), stays_root)


def forbid_new_processes() -> None:
    """Forbid this process to start processes or threads; running threads go on. Has no effect for root."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _give_up_privileges() -> None:
    """Become ``nobody`` if this is root, drop all capabilities, and make the process unreadable for others of the user.

    The process needs no files of the service: parts come through a pipe, and its modules are imported.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_DROP_BOUNDING, capability, 0, 0, 0)
    libc.prctl(_AMBIENT, _CLEAR_AMBIENT, 0, 0, 0)
    if os.geteuid() == 0:
        # In some containers root may not change its user, or there is no other: it stays root without capabilities.
        # Each may be allowed without the others.
        with suppress(OSError):
            os.setgroups([])
        with suppress(OSError):
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        with suppress(OSError):
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    number = _SET_CAPABILITIES.get(os.uname().machine)
    if number is not None:
        libc.syscall(number, struct.pack("<II", _CAPABILITIES_VERSION, 0), bytes(24))
    # After the change of user, which would reset both.
    libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_DUMPABLE, 0, 0, 0, 0)
