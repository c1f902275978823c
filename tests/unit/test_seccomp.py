"""The system call filter, run by an interpreter of BPF, also for other machines than this one."""

import errno

import pytest

from engine.query.sandbox.seccomp import program
from engine.query.sandbox.system_calls import ALLOWED, CHOSEN, FATAL, MACHINES, MASKED, NOT_IMPLEMENTED, OWN_PROCESS

PASS, KILL = 0x7FFF0000, 0x80000000
PROCESS = 4711
FAIL = 0x00050000

TABLES = {
    "x86_64": {"socket": 41, "fork": 57, "vfork": 58, "kill": 62, "chmod": 90, "tkill": 200, "unlink": 87, "bpf": 321,
               "openat2": 437, "io_uring_setup": 425, "pidfd_send_signal": 424, "setuid": 105, "memfd_create": 319},
    "aarch64": {"socket": 198, "kill": 129, "fchmodat": 53, "tkill": 130, "unlinkat": 35, "bpf": 280, "openat2": 437,
                "io_uring_setup": 425, "pidfd_send_signal": 424, "setuid": 146, "memfd_create": 279},
}  # fmt: skip
"""Calls that are not allowed, from the kernel's own tables."""


JUDGED = {
    **{name: numbers for name, (numbers, *_) in MASKED.items()},
    **{name: numbers for name, (numbers, *_) in CHOSEN.items()},
    **{name: numbers for name, (numbers, _) in OWN_PROCESS.items()},
}
"""Calls whose arguments decide."""


def run(machine: str, number: int, arguments: dict[int, int] | None = None, audit: int | None = None) -> int:
    """What the kernel would do with a call: an independent reading of classic BPF."""
    words = {0: number, 4: MACHINES[machine][1] if audit is None else audit}
    words |= {16 + 8 * place: value & 0xFFFFFFFF for place, value in (arguments or {}).items()}
    instructions, at, accumulator = program(machine, PROCESS), 0, 0
    while True:
        code, if_true, if_false, operand = instructions[at]
        at += 1
        match code:
            case 0x20:
                accumulator = words.get(operand, 0)
            case 0x54:
                accumulator &= operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


@pytest.mark.parametrize("machine", MACHINES)
def test_only_allowed_calls_pass(machine: str) -> None:
    column = MACHINES[machine][0]
    plain = {pair[column] for pair in ALLOWED.values()} - {None}
    special = {pair[column] for pair in JUDGED.values()} - {None}
    fatal = {pair[column] for pair in FATAL.values()}
    absent = {pair[column] for pair in NOT_IMPLEMENTED.values()}
    for number in range(600):
        expected = (
            PASS if number in plain
            else KILL if number in fatal
            else FAIL | errno.ENOSYS if number in absent
            else FAIL | errno.EPERM
        )  # fmt: skip
        if number not in special:
            assert run(machine, number) == expected, number
    for name, number in TABLES[machine].items():
        assert run(machine, number) == FAIL | errno.EPERM, name


@pytest.mark.parametrize("machine", MACHINES)
def test_no_number_occurs_twice(machine: str) -> None:
    column = MACHINES[machine][0]
    groups = (ALLOWED, FATAL, NOT_IMPLEMENTED, JUDGED)
    numbers = [pair[column] for group in groups for pair in group.values() if pair[column] is not None]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_are_allowed_by_their_arguments(machine: str) -> None:
    column = MACHINES[machine][0]

    def passes(name: str, **arguments: int) -> bool:
        number = JUDGED[name][column]
        assert number is not None
        return run(machine, number, {int(place[1:]): value for place, value in arguments.items()}) == PASS

    thread = 0x3D0F00
    assert passes("clone", a0=thread)
    assert not passes("clone", a0=17)
    assert not passes("clone", a0=thread | 0x10000000)
    assert passes("openat", a2=0o2000000)
    assert not passes("openat", a2=0o2000001)
    assert not passes("openat", a2=0o2000100)
    assert passes("tgkill", a0=PROCESS)
    assert not passes("tgkill", a0=1)
    assert passes("prlimit64", a0=0)
    assert not passes("prlimit64", a0=1)
    assert passes("fcntl", a1=1)
    assert not passes("fcntl", a1=8)
    assert passes("prctl", a0=15)
    assert not passes("prctl", a0=22)


def test_another_machine_or_interface_is_killed() -> None:
    assert run("x86_64", 0, audit=0x40000003) == KILL
    assert run("x86_64", 0x40000000) == KILL
    assert run("aarch64", 63, audit=0x40000028) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_fits_the_limits_of_the_kernel(machine: str) -> None:
    """The kernel accepts 4,096 instructions, and jumps fit one byte."""
    instructions = program(machine, PROCESS)
    assert len(instructions) < 4096
    assert all(jump < 256 for _, if_true, if_false, _ in instructions for jump in (if_true, if_false))
