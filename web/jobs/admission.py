"""A bound on exports at once, and on those that wait: whoever comes later is told when to come back.

Teams take turns. None may fill more than half of the queue (two of three places), and of several places none gets the
last: so nobody waits behind all exports of another, queued or running.
"""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import Gauge

from web.telemetry import metrics

_FIRST_GUESS_SECONDS = 2.0
_WEIGHT_OF_NEWEST = 0.2


class Busy(Exception):
    """There was no room. ``retry_after_seconds`` is what those ahead have been taking."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"The service is full: come back in {retry_after_seconds} s.")
        self.retry_after_seconds = retry_after_seconds


def _future() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class Turn:
    """One who comes, for one place; ``given`` is done when it has that, or gave up."""

    team: str
    given: "asyncio.Future[None]" = field(default_factory=_future)

    @property
    def waiting(self) -> bool:
        """Whether it has no place yet, and has not given up."""
        return not self.given.done()


class Admission:
    """Belongs to one event loop. Within a team first come, first served."""

    def __init__(
        self,
        *,
        at_once: int,
        queue_length: int,
        longest_wait_seconds: float,
        queued: Gauge = metrics.QUEUED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queued = queued
        self._clock = clock
        self._at_once = at_once
        self._team_at_once = max(1, at_once - 1)
        self._queue_length = queue_length
        self._team_length = max(1, math.ceil(queue_length / 2))
        self._longest_wait_seconds = longest_wait_seconds
        self._inside: Counter[str] = Counter()
        # Teams in the order of their turns. Where a place is free, each of them has as many as a team may have.
        self._waiting: dict[str, deque[Turn]] = {}
        self._usual_seconds = _FIRST_GUESS_SECONDS

    @asynccontextmanager
    async def enter(self, turn: Turn) -> AsyncIterator[None]:
        """Hold one of the places, after waiting for it. Raises Busy if too many wait, or after too long a wait."""
        await self._wait(turn)
        started = self._clock()
        try:
            yield
            self._usual_seconds += _WEIGHT_OF_NEWEST * (self._clock() - started - self._usual_seconds)
        finally:
            self._leave(turn.team)

    def place(self, turn: Turn) -> int | None:
        """The place in the queue, from 1; None if it does not wait. Who comes later may still go before it."""
        queue = self._waiting.get(turn.team, deque())
        if turn not in queue:
            return None
        place = rounds = queue.index(turn) + 1
        for team, queue in self._waiting.items():
            if team == turn.team:
                # The teams behind it have had a turn less by then.
                rounds -= 1
            else:
                place += min(rounds, len(queue))
        return place

    async def _wait(self, turn: Turn) -> None:
        if self._has_room(turn.team):
            self._let_in(turn)
            return
        queue = self._waiting.get(turn.team, deque())
        if self._length() >= self._queue_length or len(queue) >= self._team_length:
            raise Busy(self._retry_after_seconds(turn.team))
        queue.append(turn)
        self._waiting[turn.team] = queue
        self._queued.inc()
        try:
            async with asyncio.timeout(self._longest_wait_seconds):
                await turn.given
        except TimeoutError as error:
            # A place that was given in the same moment is held.
            if turn.given.cancelled():
                self._forget(turn)
                raise Busy(self._retry_after_seconds(turn.team)) from error
        except asyncio.CancelledError:
            if turn.given.cancelled():
                self._forget(turn)
            else:
                # It was given in the same moment.
                self._leave(turn.team)
            raise
        finally:
            self._queued.dec()

    def _has_room(self, team: str) -> bool:
        return self._inside.total() < self._at_once and self._inside[team] < self._team_at_once

    def _length(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _retry_after_seconds(self, team: str) -> int:
        """When all are through who are here now, or all of the team, which has fewer places."""
        everyone = (self._inside.total() + self._length()) / self._at_once
        own = (self._inside[team] + len(self._waiting.get(team, ()))) / self._team_at_once
        return math.ceil(self._usual_seconds * max(everyone, own))

    def _leave(self, team: str) -> None:
        """Hand the place to the first team in turn that may have it, and put that team behind the others."""
        self._inside[team] -= 1
        if not self._inside[team]:
            del self._inside[team]
        while (team_in_turn := next(filter(self._has_room, self._waiting), None)) is not None:
            # Those who gave up in this moment are still among them.
            queue = deque(turn for turn in self._waiting.pop(team_in_turn) if turn.waiting)
            if queue:
                self._let_in(queue.popleft())
            if queue:
                self._waiting[team_in_turn] = queue

    def _let_in(self, turn: Turn) -> None:
        self._inside[turn.team] += 1
        turn.given.set_result(None)

    def _forget(self, turn: Turn) -> None:
        queue = self._waiting.get(turn.team, deque())
        if turn in queue:
            queue.remove(turn)
        if not queue:
            self._waiting.pop(turn.team, None)
