"""What a process gives up for good before it runs a caller's SQL: files, hosts, other processes, privileges, memory
and time.

Each fence is the kernel's. A statement that breaks out of DuckDB finds them all; most bind the thread that asks and
those that it starts, so they are set before DuckDB is opened.
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
from pathlib import Path

from engine.query.sandbox.landlock import ENOUGH, Landlock
from engine.query.sandbox.seccomp import filter_system_calls

FILES_AND_HOSTS = f"Landlock {ENOUGH} (Linux 6.7), which closes files and TCP"
SYSTEM_CALLS = "seccomp, which closes processes, sockets and signals (x86-64 or AArch64)"

_NO_NEW_PRIVILEGES, _DIE_WITH_PARENT, _DUMPABLE = 38, 1, 4
_DROP_BOUNDING, _AMBIENT, _CLEAR_AMBIENT = 24, 47, 4
_SET_CAPABILITIES = {"x86_64": 126, "aarch64": 91}
_CAPABILITIES_VERSION = 0x20080522
_LAST_CAPABILITY = 63
_OTHER_USER = 65534
"""Called nobody on Linux: it owns no file."""

_OURS = str(Path(__file__).parents[2])
_SYSTEM = ("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/usr/lib")
"""What DuckDB and Python look at to know the machine and themselves; nobody's data."""


def confine(*, memory_bytes: int, cpu_seconds: int) -> tuple[str, ...]:
    """Give up everything but reading the interpreter's own files.

    Returns what the kernel could not close, as a person reads it: nothing if all is closed.
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
    # The paths are opened by whom can; what they are is decided by then.
    landlock = Landlock([sys.prefix, sys.base_prefix, _OURS, *_SYSTEM])
    _give_up_privileges()
    missing = [] if landlock.enforce() else [FILES_AND_HOSTS]
    # The last one: what comes before needs calls that it closes.
    if not filter_system_calls():
        missing.append(SYSTEM_CALLS)
    return tuple(missing)


def probe() -> tuple[str, ...]:
    """What `confine` could not close on this machine. It asks a process of its own, since nothing can be taken back."""
    script = "import json; from engine.query.sandbox.confinement import confine; "
    script += "print(json.dumps(confine(memory_bytes=1_000_000_000, cpu_seconds=10)))"
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(  # noqa: S603  # our own module
        [sys.executable, "-s", "-P", "-c", script], env=environment, stdout=subprocess.PIPE, check=True
    )
    return tuple(json.loads(done.stdout))


def start_no_more() -> None:
    """Start neither processes nor threads from now on; those that run go on. The kernel does not hold root to it."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _give_up_privileges() -> None:
    """Another user if it is root, no capabilities, nothing that another process of that user can look into.

    The child needs no file of the service: parts come through a pipe, and its modules are imported by now.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_DROP_BOUNDING, capability, 0, 0, 0)
    libc.prctl(_AMBIENT, _CLEAR_AMBIENT, 0, 0, 0)
    if os.geteuid() == 0:
        # A container may have a root without that right, or no such user: it stays root, without capabilities.
        with suppress(OSError):
            os.setgroups([])
            os.setresgid(_OTHER_USER, _OTHER_USER, _OTHER_USER)
            os.setresuid(_OTHER_USER, _OTHER_USER, _OTHER_USER)
    number = _SET_CAPABILITIES.get(os.uname().machine)
    if number is not None:
        libc.syscall(number, struct.pack("<II", _CAPABILITIES_VERSION, 0), bytes(24))
    # A change of user takes this back.
    libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_DUMPABLE, 0, 0, 0, 0)
