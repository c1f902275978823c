"""Calls that wait for an equal one share the next, whose result is never older than they are."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from web.jobs.shared_calls import SharedCalls


class _Calls:
    """Counts calls; each waits until it is released, and returns its number."""

    def __init__(self) -> None:
        self.begun = 0
        self.release = threading.Semaphore(0)
        self.failing = False

    def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        assert self.release.acquire(timeout=60)
        if self.failing:
            raise LookupError(number)
        return number


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def _started(shared: SharedCalls[int], calls: _Calls, count: int) -> list[asyncio.Task[int]]:
    """The first call runs, and ``count`` - 1 callers have come since."""
    first = asyncio.create_task(shared.run("key", calls))
    await _until(lambda: calls.begun == 1)
    others = [asyncio.create_task(shared.run("key", calls)) for _ in range(count - 1)]
    await asyncio.sleep(0)
    return [first, *others]


def test_callers_that_come_meanwhile_share_the_call_after_the_running_one() -> None:
    async def check() -> None:
        shared, calls = SharedCalls[int](), _Calls()
        tasks = await _started(shared, calls, 4)
        calls.release.release()
        await _until(lambda: calls.begun == 2)
        late = asyncio.create_task(shared.run("key", calls))
        await asyncio.sleep(0)
        calls.release.release(2)
        assert await asyncio.gather(*tasks, late) == [1, 2, 2, 2, 3]
        calls.release.release()
        assert await shared.run("key", calls) == 4
        assert shared._running == shared._next == {}

    asyncio.run(check())


def test_calls_with_other_keys_run_at_the_same_time() -> None:
    async def check() -> None:
        shared, calls = SharedCalls[int](), _Calls()
        tasks = [asyncio.create_task(shared.run(key, calls)) for key in ("a", "b")]
        await _until(lambda: calls.begun == 2)
        calls.release.release(2)
        assert sorted(await asyncio.gather(*tasks)) == [1, 2]

    asyncio.run(check())


def test_an_error_goes_to_all_who_share_the_call_and_to_no_one_else() -> None:
    async def check() -> None:
        shared, calls = SharedCalls[int](), _Calls()
        tasks = await _started(shared, calls, 3)
        calls.failing = True
        calls.release.release(2)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [(type(one), one.args) for one in results if isinstance(one, Exception)] == [
            (LookupError, (1,)),
            (LookupError, (2,)),
            (LookupError, (2,)),
        ]
        calls.failing = False
        calls.release.release()
        assert await shared.run("key", calls) == 3

    asyncio.run(check())


def test_a_cancelled_caller_leaves_the_call_to_the_others() -> None:
    async def check() -> None:
        shared, calls = SharedCalls[int](), _Calls()
        first, second, third = await _started(shared, calls, 3)
        first.cancel()
        second.cancel()
        calls.release.release(2)
        assert await third == 2
        for one in (first, second):
            with pytest.raises(asyncio.CancelledError):
                await one

    asyncio.run(check())
