"""Admission: a limit on concurrent jobs, a bounded queue, and a retry time for everyone else.

Teams take turns. With more than one slot, no team gets the last one, and no team may fill more than half of the queue:
so a team never waits for all jobs of another one.
"""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import Gauge, Histogram

from web.telemetry import metrics

_INITIAL_MEAN_SECONDS = 2.0
_WEIGHT_OF_NEWEST = 0.2


class ServiceOverloaded(Exception):
    """All slots and the queue are full. ``retry_after_seconds`` is estimated from how long recent jobs took."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(
            f"Too many requests in progress; retry after {retry_after_seconds} "
            f"{'second' if retry_after_seconds == 1 else 'seconds'}."
        )
        self.retry_after_seconds = retry_after_seconds


def _future() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class Waiter:
    """A request for one slot. ``admitted`` is resolved with the slot, and cancelled when the waiter gives up."""

    team: str
    admitted: "asyncio.Future[None]" = field(default_factory=_future)

    @property
    def is_waiting(self) -> bool:
        """Whether it has neither been admitted nor given up."""
        return not self.admitted.done()


class Admission:
    """Hands out slots; within a team first come, first served. Belongs to one event loop."""

    def __init__(
        self,
        *,
        max_concurrent: int,
        queue_size: int,
        queue_timeout_seconds: float,
        queued: Gauge = metrics.QUEUED,
        waited: Histogram = metrics.EXPORT_QUEUE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queued = queued
        self._waited = waited
        self._clock = clock
        self._max_concurrent = max_concurrent
        self._team_max_concurrent = max(1, max_concurrent - 1)
        self._queue_size = queue_size
        self._team_queue_size = max(1, math.ceil(queue_size / 2))
        self._queue_timeout_seconds = queue_timeout_seconds
        self._running: Counter[str] = Counter()
        # Teams in the order of their turns. While a slot is free, every team in here has as many as a team may have.
        self._queues: dict[str, deque[Waiter]] = {}
        self._mean_seconds = _INITIAL_MEAN_SECONDS

    @asynccontextmanager
    async def acquire(self, waiter: Waiter) -> AsyncIterator[None]:
        """Hold a slot, after waiting for it. Raises ServiceOverloaded if the queue is full or the wait times out."""
        requested = self._clock()
        try:
            await self._wait(waiter)
        finally:
            self._waited.observe(self._clock() - requested)
        started = self._clock()
        try:
            yield
            self._mean_seconds += _WEIGHT_OF_NEWEST * (self._clock() - started - self._mean_seconds)
        finally:
            self._release(waiter.team)

    def queue_position(self, waiter: Waiter) -> int | None:
        """The position in the queue, from 1, or None if it is not queued. Later arrivals may be admitted earlier."""
        queue = self._queues.get(waiter.team, deque())
        if waiter not in queue:
            return None
        position = rounds = queue.index(waiter) + 1
        for team, queue in self._queues.items():
            if team == waiter.team:
                # Teams after this one have one turn fewer before the waiter is admitted.
                rounds -= 1
            else:
                position += min(rounds, len(queue))
        return position

    def needs_slot(self, waiter: Waiter, holder: Waiter) -> bool:
        """Whether ``waiter`` is not admitted, and would be if ``holder`` gave back its slot."""
        if not waiter.is_waiting or holder.is_waiting or self._has_slot(waiter.team):
            return False
        return self._running[waiter.team] - (holder.team == waiter.team) < self._team_max_concurrent

    def needs_place(self, newcomer: Waiter, queued: Waiter) -> bool:
        """Whether ``newcomer`` would be refused now, and not if ``queued`` left the queue."""
        if not queued.is_waiting or self._has_slot(newcomer.team) or not self._is_full(newcomer.team):
            return False
        return queued.team == newcomer.team or len(self._queues.get(newcomer.team, ())) < self._team_queue_size

    async def _wait(self, waiter: Waiter) -> None:
        if self._has_slot(waiter.team):
            self._admit(waiter)
            return
        queue = self._queues.get(waiter.team, deque())
        if self._is_full(waiter.team):
            raise ServiceOverloaded(self._retry_after_seconds(waiter.team))
        queue.append(waiter)
        self._queues[waiter.team] = queue
        self._queued.inc()
        try:
            async with asyncio.timeout(self._queue_timeout_seconds):
                await waiter.admitted
        except TimeoutError as error:
            # If it was admitted in the same iteration of the loop, it keeps the slot.
            if waiter.admitted.cancelled():
                self._remove(waiter)
                raise ServiceOverloaded(self._retry_after_seconds(waiter.team)) from error
        except asyncio.CancelledError:
            if waiter.admitted.cancelled():
                self._remove(waiter)
            else:
                # It was admitted in the same iteration of the loop.
                self._release(waiter.team)
            raise
        finally:
            self._queued.dec()

    def _has_slot(self, team: str) -> bool:
        return self._running.total() < self._max_concurrent and self._running[team] < self._team_max_concurrent

    def _is_full(self, team: str) -> bool:
        return self._queue_length() >= self._queue_size or len(self._queues.get(team, ())) >= self._team_queue_size

    def _queue_length(self) -> int:
        return sum(map(len, self._queues.values()))

    def _retry_after_seconds(self, team: str) -> int:
        """The time for all present jobs to finish, or for those of the team, which has fewer slots; the longer one."""
        everyone = (self._running.total() + self._queue_length()) / self._max_concurrent
        own = (self._running[team] + len(self._queues.get(team, ()))) / self._team_max_concurrent
        return math.ceil(self._mean_seconds * max(everyone, own))

    def _release(self, team: str) -> None:
        """Give the slot to the next team that may have it, and move that team to the end of the turns."""
        self._running[team] -= 1
        if not self._running[team]:
            del self._running[team]
        while (next_team := next(filter(self._has_slot, self._queues), None)) is not None:
            # Waiters that gave up in this iteration of the loop are still in the queue.
            queue = deque(waiter for waiter in self._queues.pop(next_team) if waiter.is_waiting)
            if queue:
                self._admit(queue.popleft())
            if queue:
                self._queues[next_team] = queue

    def _admit(self, waiter: Waiter) -> None:
        self._running[waiter.team] += 1
        waiter.admitted.set_result(None)

    def _remove(self, waiter: Waiter) -> None:
        queue = self._queues.get(waiter.team, deque())
        if waiter in queue:
            queue.remove(waiter)
        if not queue:
            self._queues.pop(waiter.team, None)
