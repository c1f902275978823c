"""Landlock: allow reading of listed paths only; no TCP and no signals to other processes, if the kernel supports that.

It applies to the calling thread and the threads that it starts, so it is enforced before DuckDB is opened. The rights
are those of ``linux/landlock.h``; each version of the interface adds some.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_CREATE_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3

_FILE_RIGHTS = ((5, (1 << 16) - 1), (3, (1 << 15) - 1), (2, (1 << 14) - 1), (1, (1 << 13) - 1))
"""Version and rights: 2 adds links between directories, 3 truncation, 5 ioctl on devices."""
_NET_SINCE, _NET_RIGHTS = 4, 3
"""Binding and connecting TCP."""
_SCOPES_SINCE, _SCOPES = 6, 3
"""Abstract Unix sockets and signals."""

REQUIRED_VERSION = 4
"""The first version that restricts both files and TCP: Linux 6.7."""


def landlock_version() -> int:
    """The version of the kernel's interface; below 1 if it has none."""
    return int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, ctypes.c_size_t(0), _CREATE_VERSION))


class Landlock:
    """Rules that are created while the paths can be opened and enforced later, possibly as another user."""

    def __init__(self, readable: Iterable[str]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.version = landlock_version()
        self._rules = -1
        if self.version >= 1:
            attributes = _attributes(self.version)
            self._rules = self._libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
        if self._rules >= 0:
            for path in readable:
                self._allow_reading(path)

    def enforce(self) -> bool:
        """Enforce the rules, once; the process must have set NO_NEW_PRIVS.

        Returns whether files and TCP are restricted. On an older kernel it restricts what it can.
        """
        if self._rules < 0:
            return False
        try:
            return bool(self._libc.syscall(_RESTRICT, self._rules, 0) == 0) and self.version >= REQUIRED_VERSION
        finally:
            os.close(self._rules)

    def _allow_reading(self, path: str) -> None:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            # Missing or not readable for this user, so there is nothing to allow.
            return
        try:
            rights = _READ_FILE | (_READ_FOLDER if stat.S_ISDIR(os.fstat(opened).st_mode) else 0)
            self._libc.syscall(_ADD, self._rules, _PATH_BENEATH, struct.pack("<Qi", rights, opened), 0)
        finally:
            os.close(opened)


def _attributes(version: int) -> bytes:
    rights = next(rights for since, rights in _FILE_RIGHTS if version >= since)
    attributes = struct.pack("<Q", rights)
    if version >= _NET_SINCE:
        attributes += struct.pack("<Q", _NET_RIGHTS)
    if version >= _SCOPES_SINCE:
        attributes += struct.pack("<Q", _SCOPES)
    return attributes
