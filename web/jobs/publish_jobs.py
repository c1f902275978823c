"""Publishes over HTTP: a bounded number at a time, from the first byte of the body to the manifest."""

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
from web.jobs.admission import Admission, Waiter
from web.settings import PublishSettings
from web.telemetry import metrics

_QUEUE_SIZE_PER_SLOT = 8
_QUEUE_TIMEOUT_SECONDS = 30
"""Short, since clients give up soon when their upload is not read."""


class PublishJobs:
    """Belongs to one event loop."""

    def __init__(self, results: ResultStore, settings: PublishSettings, duckdb: DuckDBSettings) -> None:
        self._admission = Admission(
            max_concurrent=settings.max_concurrent_publishes,
            queue_size=settings.max_concurrent_publishes * _QUEUE_SIZE_PER_SLOT,
            queue_timeout_seconds=_QUEUE_TIMEOUT_SECONDS,
            queued=metrics.PUBLISHES_QUEUED,
            waited=metrics.PUBLISH_QUEUE_SECONDS,
        )
        # A dedicated thread limiter, so that publishes cannot starve authentication.
        self._threads = anyio.CapacityLimiter(settings.max_concurrent_publishes)
        self._publisher = Publisher(results, duckdb)
        self._running: set[CancelToken] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.limit_bytes = settings.limit_bytes
        self.prepared = settings.prepared
        """The formats in which a published run is exported at once."""
        self.spill_directory = duckdb.spill_directory

    @asynccontextmanager
    async def slot(self, team: str) -> AsyncIterator[None]:
        """Hold a slot while a body is received and published. Raises ServiceOverloaded."""
        async with self._admission.acquire(Waiter(team)):
            yield

    async def publish(self, publication: Publication) -> Run:
        """Publish in a thread, within a `slot`; a disconnect does not cancel it. Raises the errors of `Publisher`."""
        cancel = CancelToken("The service stopped before the run was published: send it again.")
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
        """Wait for running publishes within the grace period, then cancel them; their runs never become visible."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
        for token in self._running:
            token.cancel()
