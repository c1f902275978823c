"""Concurrent reads: in order, and never far ahead of whoever takes the results."""

from collections.abc import Iterator
from threading import Barrier, Lock

import pytest

from engine.common.concurrency import read_all


def test_results_come_in_the_order_of_the_items_without_none() -> None:
    assert list(read_all(lambda n: None if n % 3 == 0 else n, range(100))) == [n for n in range(100) if n % 3]
    assert list(read_all(lambda n: n, range(0))) == []


def test_sixteen_items_are_read_at_the_same_time_and_no_more_ahead() -> None:
    lock, taken = Lock(), 0
    together = Barrier(16, timeout=30)

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(64):
            with lock:
                taken += 1
            yield number

    def read(number: int) -> int:
        if number < 16:
            together.wait()
        return number

    for expected, found in enumerate(read_all(read, items())):
        assert found == expected
        assert taken <= expected + 16


def test_the_first_exception_is_raised_and_the_rest_is_not_read() -> None:
    read = []

    def fail(number: int) -> int:
        read.append(number)
        if number == 20:
            raise ValueError("20")
        return number

    with pytest.raises(ValueError, match="20"):
        list(read_all(fail, range(1000)))
    assert max(read) <= 36
