"""Publications that run in this process: a few at once, from the first byte of their bodies to the manifest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.to_thread

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run
from engine.common.cancellation import CancelToken
from engine.publishing.publisher import Publication, Publisher
from engine.settings import DuckDBSettings
from web.jobs.admission import Admission, Turn
from web.settings import PublishSettings
from web.telemetry import metrics

_WAITING_FOR_EACH = 8
_WAIT_SECONDS = 30
"""Clients of uploads give up soon while nothing is read."""


class PublishJobs:
    """Belongs to one event loop."""

    def __init__(self, results: ResultStore, settings: PublishSettings, duckdb: DuckDBSettings) -> None:
        self._places = Admission(
            at_once=settings.max_concurrent_publishes,
            queue_length=settings.max_concurrent_publishes * _WAITING_FOR_EACH,
            longest_wait_seconds=_WAIT_SECONDS,
            queued=metrics.PUBLISHES_QUEUED,
        )
        # Dedicated threads, so that publications cannot keep keys from being checked.
        self._threads = anyio.CapacityLimiter(settings.max_concurrent_publishes)
        self._publisher = Publisher(results, duckdb)
        self._running: set[CancelToken] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.limit_bytes = settings.limit_bytes
        self.spill_directory = duckdb.spill_directory

    @asynccontextmanager
    async def place(self, team: str) -> AsyncIterator[None]:
        """One of the places, for receiving a body and publishing it. Raises Busy."""
        async with self._places.enter(Turn(team)):
            yield

    async def publish(self, publication: Publication) -> Run:
        """Publish in a thread, within a `place`. It goes on when its client goes away. Raises as the publisher does."""
        cancel = CancelToken("The service was stopped before the run was published: send it again.")
        self._running.add(cancel)
        self._idle.clear()
        try:
            return await anyio.to_thread.run_sync(
                self._publisher.publish, publication, cancel, limiter=self._threads, abandon_on_cancel=False
            )
        finally:
            self._running.discard(cancel)
            if not self._running:
                self._idle.set()

    async def close(self, grace_seconds: float) -> None:
        """Wait for those that run, then cancel them; nothing of a cancelled one is visible."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
        for token in self._running:
            token.cancel()
