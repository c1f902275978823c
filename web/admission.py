"""A bound on exports at once, and on those that wait: whoever comes later is told when to come back.

Teams take turns, and none may fill more than half of the queue, so that nobody waits behind all exports of another.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Gauge

from web import metrics

_FIRST_GUESS_SECONDS = 2.0
_WEIGHT_OF_NEWEST = 0.2


class Busy(Exception):
    """The queue is full. ``retry_after_seconds`` is what the queue ahead has been taking."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"The service is full: come back in {retry_after_seconds} s.")
        self.retry_after_seconds = retry_after_seconds


class Admission:
    """Belongs to one event loop. Within a team first come, first served."""

    def __init__(self, *, at_once: int, queue_length: int, queued: Gauge = metrics.QUEUED) -> None:
        self._queued = queued
        self._at_once = at_once
        self._free = at_once
        self._queue_length = queue_length
        self._team_length = max(1, math.ceil(queue_length / 2))
        # Teams in the order of their turns.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._usual_seconds = _FIRST_GUESS_SECONDS

    @asynccontextmanager
    async def enter(self, team: str) -> AsyncIterator[None]:
        """Hold one of the places, after waiting for it. Raises Busy if too many wait."""
        await self._wait(team)
        started = time.monotonic()
        try:
            yield
            self._usual_seconds += _WEIGHT_OF_NEWEST * (time.monotonic() - started - self._usual_seconds)
        finally:
            self._leave()

    def place(self, team: str) -> int:
        """How many of the queue would go before the next of that team, and itself: roughly its place, from 1."""
        own = len(self._waiting.get(team, ()))
        others = (len(queue) for name, queue in self._waiting.items() if name != team)
        return own + sum(min(own, length) for length in others)

    async def _wait(self, team: str) -> None:
        length = sum(map(len, self._waiting.values()))
        if self._free and not length:
            self._free -= 1
            return
        queue = self._waiting.get(team, deque())
        if length >= self._queue_length or len(queue) >= self._team_length:
            inside = self._at_once - self._free + length
            raise Busy(math.ceil(self._usual_seconds * inside / self._at_once))
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        self._queued.inc()
        self._waiting[team] = queue
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The place was given in the same moment.
                self._leave()
            else:
                self._forget(team, turn)
            raise
        finally:
            self._queued.dec()

    def _leave(self) -> None:
        """Hand the place to the first team that waits, and put that team behind the others."""
        for team in list(self._waiting):
            queue = self._waiting.pop(team)
            turn = queue.popleft()
            if queue:
                self._waiting[team] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _forget(self, team: str, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(team)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[team]
