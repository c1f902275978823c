"""Queries: a bounded number at a time, each with a timeout, cancelled when the caller disconnects."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, LimitExceeded
from engine.query.sandbox import Limits
from engine.settings import DuckDBSettings, megabytes
from web.jobs.admission import Admission, Waiter
from web.settings import QuerySettings
from web.telemetry import metrics

_QUEUE_SIZE_PER_SLOT = 8

_ResultT = TypeVar("_ResultT")


class QueryJobs:
    """Belongs to one event loop."""

    def __init__(self, settings: QuerySettings, duckdb: DuckDBSettings) -> None:
        self._admission = Admission(
            max_concurrent=settings.max_concurrent_queries,
            queue_size=settings.max_concurrent_queries * _QUEUE_SIZE_PER_SLOT,
            queue_timeout_seconds=settings.query_timeout_seconds,
            queued=metrics.QUERIES_QUEUED,
            waited=metrics.QUERY_QUEUE_SECONDS,
        )
        # A dedicated thread limiter, so that queries cannot starve authentication.
        self._threads = anyio.CapacityLimiter(settings.max_concurrent_queries)
        self._timeout_seconds = settings.query_timeout_seconds
        self._running: set[CancelToken] = set()
        self.sql = settings.user_sql
        self.duckdb = duckdb.model_copy(update={"memory_limit": settings.query_memory_limit})
        """Limits of DuckDB for a page of rows or a column profile."""
        self.limits = Limits(
            memory_megabytes=megabytes(settings.query_memory_limit),
            threads=duckdb.threads,
            seconds=self._timeout_seconds,
            confined=settings.user_sql == "confined",
        )
        """Limits of a SQL statement."""

    def cancel(self) -> None:
        """Cancel all queries; queued ones end when they are admitted."""
        for token in self._running:
            token.cancel()

    async def run(
        self,
        team: str,
        disconnected: Callable[[], Awaitable[None]],
        query: Callable[[CancelToken], _ResultT],
        *,
        prepare: Callable[[], None] | None = None,
    ) -> _ResultT:
        """Return the result of a query, which runs in a thread.

        ``prepare`` runs after admission and does not count against the timeout. Raises ServiceOverloaded, Cancelled if
        the caller disconnects, LimitExceeded after the timeout, or the error of the query.
        """
        waiter, cancel = Waiter(team), CancelToken()
        running = asyncio.ensure_future(self._run(waiter, cancel, query, prepare))
        # If this call is cancelled, nobody else looks at the error that ends the query.
        running.add_done_callback(lambda task: task.cancelled() or task.exception())
        disconnect = asyncio.ensure_future(disconnected())
        self._running.add(cancel)
        try:
            await asyncio.wait({running, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._running.discard(cancel)
            disconnect.cancel()
            cancel.cancel()
            if waiter.is_waiting:
                # A queued query has no statement to interrupt.
                running.cancel()
        await asyncio.wait({running})
        if running.cancelled():
            raise Cancelled("The query was cancelled.")
        return running.result()

    async def _run(
        self,
        waiter: Waiter,
        cancel: CancelToken,
        query: Callable[[CancelToken], _ResultT],
        prepare: Callable[[], None] | None,
    ) -> _ResultT:
        async with self._admission.acquire(waiter):
            cancel.raise_if_cancelled()
            if prepare is not None:
                await anyio.to_thread.run_sync(prepare, limiter=self._threads)
                cancel.raise_if_cancelled()
            timeout = asyncio.get_running_loop().call_later(self._timeout_seconds, cancel.cancel)
            try:
                return await anyio.to_thread.run_sync(query, cancel, limiter=self._threads)
            except Cancelled as error:
                if asyncio.get_running_loop().time() < timeout.when():
                    raise
                raise LimitExceeded(
                    f"The query exceeded the time limit of {self._timeout_seconds} seconds: "
                    "narrow it with filters, or export the rows as one file."
                ) from error
            finally:
                timeout.cancel()
