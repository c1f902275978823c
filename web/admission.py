"""A bound on exports at once, and on those that wait: whoever comes later is told when to come back."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

_FIRST_GUESS_SECONDS = 2.0
_WEIGHT_OF_NEWEST = 0.2


class Busy(Exception):
    """The queue is full. ``retry_after_seconds`` is what the queue ahead has been taking."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"The service is full: come back in {retry_after_seconds} s.")
        self.retry_after_seconds = retry_after_seconds


class Admission:
    """First come, first served."""

    def __init__(self, *, at_once: int, queue_length: int) -> None:
        self._at_once = at_once
        self._places = anyio.Semaphore(at_once)
        self._capacity = at_once + queue_length
        self._inside = 0
        self._usual_seconds = _FIRST_GUESS_SECONDS

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Hold one of the places, after waiting for it. Raises Busy if too many wait."""
        if self._inside >= self._capacity:
            raise Busy(math.ceil(self._usual_seconds * self._inside / self._at_once))
        self._inside += 1
        try:
            async with self._places:
                started = time.monotonic()
                yield
                took = time.monotonic() - started
                self._usual_seconds += _WEIGHT_OF_NEWEST * (took - self._usual_seconds)
        finally:
            self._inside -= 1
