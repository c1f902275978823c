"""A filter of system calls, made here and handed to the kernel by ``prctl``; nothing can lift it.

It binds the thread that asks and those that it starts. What is not allowed fails with EPERM, as a permission would;
what only an intruder does ends the process with SIGSYS.
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
"""System calls of the 32-bit interface of x86-64 have this bit."""

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: ``struct sock_filter``."""


def seccomp_available() -> bool:
    """Whether the kernel takes filters on a machine whose system calls we know."""
    return platform.machine() in MACHINES and ctypes.CDLL(None, use_errno=True).prctl(_GET_SECCOMP, 0, 0, 0, 0) >= 0


def filter_system_calls() -> bool:
    """Bind this thread and those that it starts; the process must have given up new privileges. False if it cannot."""
    if not seccomp_available():
        return False
    instructions = program(platform.machine(), os.getpid())
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)
    held = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(instructions), ctypes.addressof(held))
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_SET_SECCOMP, _MODE_FILTER, head, 0, 0) == 0)


def program(machine: str, process: int) -> list[Instruction]:
    """The filter for a machine and a process, in the kernel's own language (classic BPF)."""
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
