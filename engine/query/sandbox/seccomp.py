"""A system call filter (seccomp), compiled here and installed by ``prctl``. It cannot be removed.

It applies to the calling thread and the threads that it starts. Calls that are not allowed fail with EPERM; calls that
only an attacker would make kill the process with SIGSYS.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping, Sequence

from engine.query.sandbox.system_calls import (
    ALLOWED,
    CHOSEN,
    FATAL,
    MACHINES,
    MASKED,
    NOT_IMPLEMENTED,
    OWN_PROCESS,
    Numbers,
)

_SET_SECCOMP, _MODE_FILTER = 22, 2
_GET_SECCOMP = 21
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _AT_LEAST = 0x15, 0x35
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
_PASS, _KILL = 0x7FFF0000, 0x80000000
_FAIL = 0x00050000
_X32 = 0x40000000
"""The bit that marks system calls of the x32 interface of x86-64."""

Instruction = tuple[int, int, int, int]
"""``struct sock_filter``: code, jump if true, jump if false, operand."""


def seccomp_available() -> bool:
    """Whether the kernel supports filters and the numbers of the machine's system calls are known."""
    return platform.machine() in MACHINES and ctypes.CDLL(None, use_errno=True).prctl(_GET_SECCOMP, 0, 0, 0, 0) >= 0


def filter_system_calls() -> bool:
    """Install the filter; the process must have set NO_NEW_PRIVS. Returns whether it is installed."""
    if not seccomp_available():
        return False
    instructions = program(platform.machine(), os.getpid())
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(instructions), ctypes.addressof(buffer))
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_SET_SECCOMP, _MODE_FILTER, head, 0, 0) == 0)


def program(machine: str, process: int) -> list[Instruction]:
    """Compile the filter for a machine and a process id to classic BPF."""
    column, audit_number = MACHINES[machine]

    def numbers(table: Mapping[str, Numbers]) -> list[int]:
        return [number for pair in table.values() if (number := pair[column]) is not None]

    def checked(pair: Numbers, argument: int, test: Sequence[Instruction]) -> list[Instruction]:
        number = pair[column]
        block = [_load(_ARGUMENTS + 8 * argument), *test, _fail(errno.EPERM)]
        return [] if number is None else [(_EQUAL, 0, len(block), number), *block]

    found = [_load(_MACHINE), (_EQUAL, 1, 0, audit_number), (_RETURN, 0, 0, _KILL), _load(_NUMBER)]
    found += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for number in numbers(ALLOWED):
        found += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _PASS)]
    for pair, argument, mask, value in MASKED.values():
        found += checked(pair, argument, [(_AND, 0, 0, mask), *_pass_if(value)])
    for pair, argument, values in CHOSEN.values():
        found += checked(pair, argument, _pass_if(*values))
    for pair, argument in OWN_PROCESS.values():
        found += checked(pair, argument, _pass_if(process))
    for number in numbers(FATAL):
        found += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _KILL)]
    for number in numbers(NOT_IMPLEMENTED):
        found += [(_EQUAL, 0, 1, number), _fail(errno.ENOSYS)]
    return [*found, _fail(errno.EPERM)]


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _fail(number: int) -> Instruction:
    return (_RETURN, 0, 0, _FAIL | number)


def _pass_if(*values: int) -> list[Instruction]:
    return [part for value in values for part in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _PASS))]
