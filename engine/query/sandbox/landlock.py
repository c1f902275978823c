"""Landlock: no file but those that are named, no TCP, no signal to other processes, as far as the kernel has it.

It binds the thread that asks and those that it starts, so it is asked for before DuckDB is opened.
The rights are those of ``linux/landlock.h``; each version of the interface adds some.
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
"""Since version 2 links between folders, since 3 truncation, since 5 control of devices."""
_NET_SINCE, _NET_RIGHTS = 4, 3
"""Binding and connecting TCP."""
_SCOPES_SINCE, _SCOPES = 6, 3
"""Abstract Unix sockets and signals."""

ENOUGH = 4
"""The version from which files and TCP are closed: Linux 6.7."""


def landlock_version() -> int:
    """The version of the kernel's interface; below 1 there is none."""
    return int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, ctypes.c_size_t(0), _CREATE_VERSION))


class Landlock:
    """Rules that are made while the paths can be opened, and enforced later, maybe as another user."""

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
        """Bind this thread and those that it starts; the process must have given up new privileges.

        True if files and TCP are closed. An older kernel closes what it can.
        """
        if self._rules < 0:
            return False
        try:
            return bool(self._libc.syscall(_RESTRICT, self._rules, 0) == 0) and self.version >= ENOUGH
        finally:
            os.close(self._rules)

    def _allow_reading(self, path: str) -> None:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            # What is not there, or not for this user, is not read anyway.
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
