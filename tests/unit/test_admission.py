"""Who is let in when: first come first served within a team, teams in turn, and a bound on all who wait."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from web.admission import Admission, Busy


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


class House:
    """Visitors of an admission, who stay until they are told to leave."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.inside: list[str] = []
        self._leave: dict[str, asyncio.Event] = {}

    async def come(self, name: str) -> "asyncio.Task[None]":
        """A visitor called after its team and a number, as ``a1``."""
        task = asyncio.create_task(self._visit(name))
        await settled()
        return task

    async def send_away(self, name: str) -> None:
        self._leave[name].set()
        await settled()

    async def _visit(self, name: str) -> None:
        self._leave[name] = asyncio.Event()
        async with self.admission.enter(name[0]):
            self.inside.append(name)
            await self._leave[name].wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_teams_take_turns() -> None:
    async def work() -> None:
        house = House(Admission(at_once=1, queue_length=20))
        names = ["a1", "a2", "a3", "a4", "b1", "b2", "c1"]
        tasks = [await house.come(name) for name in names]
        assert house.inside == ["a1"]
        assert [house.admission.place(team) for team in "abc"] == [6, 5, 3]
        for _ in names:
            await house.send_away(house.inside[-1])
        assert house.inside == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]
        await asyncio.gather(*tasks)

    run(work())


def test_no_team_fills_more_than_half_of_the_queue() -> None:
    async def work() -> None:
        house = House(Admission(at_once=1, queue_length=4))
        tasks = [await house.come(name) for name in ("a1", "a2", "a3")]
        late = await house.come("a4")
        assert isinstance(late.exception(), Busy)
        tasks += [await house.come(name) for name in ("b1", "b2")]
        full = await house.come("c1")
        assert isinstance(full.exception(), Busy)
        for _ in tasks:
            await house.send_away(house.inside[-1])
        await asyncio.gather(*tasks)

    run(work())


def test_who_gives_up_leaves_no_gap() -> None:
    async def work() -> None:
        house = House(Admission(at_once=1, queue_length=10))
        first, second, third = [await house.come(name) for name in ("a1", "a2", "b1")]
        second.cancel()
        await settled()
        await house.send_away("a1")
        assert house.inside == ["a1", "b1"]
        await house.send_away("b1")
        await asyncio.gather(first, third)
        # The house is empty: the next is let in at once.
        last = await house.come("c1")
        assert house.inside[-1] == "c1"
        await house.send_away("c1")
        await last

    run(work())


def test_a_place_that_is_given_to_one_who_gives_up_is_given_on() -> None:
    async def work() -> None:
        house = House(Admission(at_once=1, queue_length=10))
        first, second, third = [await house.come(name) for name in ("a1", "a2", "b1")]
        house._leave["a1"].set()
        # In the same moment as the place becomes free.
        await asyncio.sleep(0)
        second.cancel()
        await settled()
        assert house.inside[-1] == "b1"
        await house.send_away("b1")
        await asyncio.gather(first, third)

    run(work())


@pytest.mark.parametrize("queue_length", [0, 1])
def test_the_time_to_come_back_is_at_least_a_second(queue_length: int) -> None:
    async def work() -> None:
        house = House(Admission(at_once=1, queue_length=queue_length))
        tasks = [await house.come(f"a{n}") for n in range(1 + queue_length)]
        late = await house.come("a9")
        error = late.exception()
        assert isinstance(error, Busy)
        assert error.retry_after_seconds >= 1
        for _ in tasks:
            await house.send_away(house.inside[-1])
        await asyncio.gather(*tasks)

    run(work())
