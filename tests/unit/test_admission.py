"""Who is let in when: first come first served within a team, teams in turn, and a bound on all who wait."""

import asyncio
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge

from tests.helpers.admission_oracle import Rules
from tests.helpers.still_time import pass_time, run_still, settled
from web.jobs.admission import Admission, ServiceOverloaded, Waiter


class House:
    """Visitors of an admission, who stay until they are told to leave."""

    def __init__(self, *, max_concurrent: int, queue_size: int = 20, queue_timeout_seconds: float = 600) -> None:
        self._registry = CollectorRegistry()
        self.admission = Admission(
            max_concurrent=max_concurrent,
            queue_size=queue_size,
            queue_timeout_seconds=queue_timeout_seconds,
            queued=Gauge("queued", "Visitors that wait", registry=self._registry),
            clock=asyncio.get_running_loop().time,
        )
        self.inside: list[str] = []
        self.turns: dict[str, Waiter] = {}
        self.visits: dict[str, asyncio.Task[None]] = {}
        self.told: dict[str, int] = {}
        """After how many seconds those who were refused may come back."""
        self._leave: dict[str, asyncio.Event] = {}

    async def come(self, name: str) -> "asyncio.Task[None]":
        """A visitor called after its team and a number, as ``a1``."""
        self.turns[name] = Waiter(name[0])
        self._leave[name] = asyncio.Event()
        task = self.visits[name] = asyncio.create_task(self._visit(name))
        task.add_done_callback(partial(self._ended, name))
        await settled()
        return task

    def call_away(self, name: str) -> None:
        """It leaves as soon as it is its turn to do anything."""
        self._leave[name].set()

    async def send_away(self, name: str) -> None:
        self.call_away(name)
        await settled()

    async def give_up(self, name: str) -> None:
        """It goes away before anyone told it to, from wherever it is."""
        self.visits[name].cancel()
        await settled()

    def places(self) -> dict[str, int]:
        """The places of all who wait."""
        places = {name: self.admission.queue_position(turn) for name, turn in self.turns.items()}
        return {name: place for name, place in places.items() if place is not None}

    def queued(self) -> float | None:
        """How many wait, as it is told to who watches the service."""
        return self._registry.get_sample_value("queued")

    async def _visit(self, name: str) -> None:
        async with self.admission.acquire(self.turns[name]):
            self.inside.append(name)
            await self._leave[name].wait()

    def _ended(self, name: str, visit: "asyncio.Task[None]") -> None:
        error = None if visit.cancelled() else visit.exception()
        if isinstance(error, ServiceOverloaded):
            self.told[name] = error.retry_after_seconds


def test_teams_take_turns_and_each_knows_its_place() -> None:
    async def work() -> None:
        house = House(max_concurrent=1)
        names = ["a1", "a2", "a3", "a4", "b1", "b2", "c1"]
        tasks = [await house.come(name) for name in names]
        assert house.inside == ["a1"]
        told = []
        for _ in names:
            told.append(house.places())
            await house.send_away(house.inside[-1])
        assert house.inside == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]
        for gone, places in enumerate(told, start=1):
            assert places == {name: n for n, name in enumerate(house.inside[gone:], start=1)}
        await asyncio.gather(*tasks)

    run_still(work())


def test_no_team_fills_more_than_half_of_the_queue() -> None:
    async def work() -> None:
        house = House(max_concurrent=1, queue_size=4)
        tasks = [await house.come(name) for name in ("a1", "a2", "a3")]
        late = await house.come("a4")
        assert isinstance(late.exception(), ServiceOverloaded)
        tasks += [await house.come(name) for name in ("b1", "b2")]
        full = await house.come("c1")
        assert isinstance(full.exception(), ServiceOverloaded)
        for _ in tasks:
            await house.send_away(house.inside[-1])
        await asyncio.gather(*tasks)

    run_still(work())


def test_no_team_takes_the_last_of_several_places() -> None:
    async def work() -> None:
        house = House(max_concurrent=3)
        tasks = [await house.come(name) for name in ("a1", "a2", "a3", "b1", "b2")]
        assert house.inside == ["a1", "a2", "b1"]
        # b2 came later, but its team has a place less.
        await house.send_away("b1")
        assert house.inside[3:] == ["b2"]
        await house.send_away("b2")
        assert house.inside[4:] == []
        await house.send_away("a2")
        assert house.inside[4:] == ["a3"]
        for name in ("a1", "a3"):
            await house.send_away(name)
        await asyncio.gather(*tasks)

    run_still(work())


def test_who_gives_up_leaves_no_gap() -> None:
    async def work() -> None:
        house = House(max_concurrent=1)
        first, _, third = [await house.come(name) for name in ("a1", "a2", "b1")]
        await house.give_up("a2")
        await house.send_away("a1")
        assert house.inside == ["a1", "b1"]
        await house.send_away("b1")
        await asyncio.gather(first, third)
        # The house is empty: the next is let in at once.
        last = await house.come("c1")
        assert house.inside[-1] == "c1"
        await house.send_away("c1")
        await last

    run_still(work())


@pytest.mark.parametrize("next_in_turn", ["a3", "b1"])
@pytest.mark.parametrize("turns_before", [0, 1, 2])
def test_a_place_that_is_given_to_one_who_gives_up_is_given_on(turns_before: int, next_in_turn: str) -> None:
    async def work() -> None:
        house = House(max_concurrent=1)
        first, second, third = [await house.come(name) for name in ("a1", "a2", next_in_turn)]
        house.call_away("a1")
        # Before the place becomes free, in that moment, and when it has been taken.
        for _ in range(turns_before):
            await asyncio.sleep(0)
        second.cancel()
        await settled()
        assert house.inside[-1] == next_in_turn
        last = await house.come("c1")
        await house.send_away(next_in_turn)
        assert house.inside[-1] == "c1"
        await house.send_away("c1")
        await asyncio.gather(first, third, last)

    run_still(work())


def test_whoever_waits_for_too_long_is_told_to_come_back() -> None:
    async def work() -> None:
        house = House(max_concurrent=1, queue_timeout_seconds=60)
        first, late = await house.come("a1"), await house.come("a2")
        await pass_time(59)
        assert house.places() == {"a2": 1}
        await pass_time(1)
        # Nobody has left yet: one is ahead, and how long that takes is a guess.
        assert house.told == {"a2": 2}
        assert isinstance(late.exception(), ServiceOverloaded)
        assert house.places() == {}
        await house.send_away("a1")
        # It has left no gap.
        last = await house.come("b1")
        assert house.inside == ["a1", "b1"]
        await house.send_away("b1")
        await asyncio.gather(first, last)

    run_still(work())


def test_a_place_that_is_given_as_the_wait_ends_is_held() -> None:
    async def work() -> None:
        house = House(max_concurrent=1, queue_timeout_seconds=60)
        first, late = await house.come("a1"), await house.come("a2")
        house.call_away("a1")
        await pass_time(60)
        assert house.inside == ["a1", "a2"]
        assert house.told == {}
        await house.send_away("a2")
        last = await house.come("b1")
        await house.send_away("b1")
        await asyncio.gather(first, late, last)

    run_still(work())


@pytest.mark.parametrize(
    ("max_concurrent", "queue_size", "here", "late", "visits"),
    [
        (1, 0, ("a1",), "a2", 1),
        (1, 2, ("a1", "a2", "b1"), "a3", 3),
        (2, 2, ("a1", "b1", "a2", "b2"), "c1", 2),
        # Of three places a team has two: its four take two visits, though three of five are inside.
        (3, 4, ("a1", "a2", "b1", "a3", "a4"), "a5", 2),
    ],
)
def test_the_time_to_come_back_is_what_those_ahead_take(
    max_concurrent: int, queue_size: int, here: tuple[str, ...], late: str, visits: int
) -> None:
    async def work() -> None:
        house = House(max_concurrent=max_concurrent, queue_size=queue_size)
        seconds = 40
        # What was guessed before the first came is forgotten by then.
        for _ in range(80):
            visitor = await house.come("z1")
            await pass_time(seconds)
            await house.send_away("z1")
            await visitor
        tasks = [await house.come(name) for name in here]
        error = (await house.come(late)).exception()
        assert isinstance(error, ServiceOverloaded)
        assert error.retry_after_seconds == visits * seconds
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_still(work())


_STEPS = st.tuples(
    st.integers(1, 4), st.sampled_from(["come", "come", "come", "leave", "leave", "give up"]), st.integers(0, 11)
)
"""After so many seconds one does so; the number says who."""


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(0, 7), st.integers(5, 30), st.lists(_STEPS, min_size=20, max_size=40))
def test_whatever_happens_the_rules_hold(
    max_concurrent: int, queue_size: int, longest_wait: int, steps: list[tuple[int, str, int]]
) -> None:
    async def work() -> None:
        rules = Rules(max_concurrent, queue_size, longest_wait)
        house = House(max_concurrent=max_concurrent, queue_size=queue_size, queue_timeout_seconds=longest_wait)
        now = 0
        for seconds, what, who in steps:
            # No two come in the same second: so each has a moment of its own, too, in which it has waited for too long.
            now += seconds
            await pass_time(seconds)
            rules.pass_time(now)
            here = [*rules.inside, *(rules.waiting if what == "give up" else ())]
            if what == "come":
                name = f"{'abc'[who % 3]}{now}"
                rules.come(name, now)
                await house.come(name)
            elif here:
                name = here[who % len(here)]
                if what == "leave":
                    rules.leave(name, now)
                    await house.send_away(name)
                else:
                    rules.give_up(name, now)
                    await house.give_up(name)
            _hold(house, rules)
        for name in [*rules.waiting, *rules.inside]:
            await house.give_up(name)
        assert (house.places(), house.queued()) == ({}, 0)

    run_still(work())


def _hold(house: House, rules: Rules) -> None:
    assert house.inside == rules.let_in
    assert house.places() == rules.places()
    assert house.queued() == len(rules.waiting)
    assert house.told.keys() == rules.told.keys()
    for name, seconds in rules.told.items():
        # Rounded up, but for what the last digits make of a whole number.
        assert seconds - 1e-6 < house.told[name] < seconds + 1 + 1e-6
