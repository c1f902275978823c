"""Queries that run in this process: a few at once, each with a deadline, and ended when nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, LimitExceeded
from engine.query.sandbox import Limits
from engine.settings import DuckDBSettings, megabytes
from web.jobs.admission import Admission, Turn
from web.settings import QuerySettings
from web.telemetry import metrics

_WAITING_FOR_EACH = 8

_FoundT = TypeVar("_FoundT")


class Queries:
    """Belongs to one event loop."""

    def __init__(self, settings: QuerySettings, duckdb: DuckDBSettings) -> None:
        self._places = Admission(
            at_once=settings.max_concurrent_queries,
            queue_length=settings.max_concurrent_queries * _WAITING_FOR_EACH,
            longest_wait_seconds=settings.query_timeout_seconds,
            queued=metrics.QUERIES_QUEUED,
        )
        # Of their own: with those of everyone else, queries could take all that keys are checked on.
        self._threads = anyio.CapacityLimiter(settings.max_concurrent_queries)
        self._seconds = settings.query_timeout_seconds
        self._wanted: set[CancelToken] = set()
        self.sql = settings.user_sql
        self.duckdb = duckdb.model_copy(update={"memory_limit": settings.query_memory_limit})
        """What DuckDB may take for a page or the facts of a column."""
        self.limits = Limits(
            memory_megabytes=megabytes(settings.query_memory_limit),
            threads=duckdb.threads,
            seconds=self._seconds,
            confined=settings.user_sql == "confined",
        )
        """What a statement that people type may take."""

    def cancel(self) -> None:
        """End all that run; those that wait end when it is their turn."""
        for wanted in self._wanted:
            wanted.cancel()

    async def run(
        self,
        team: str,
        gone: Callable[[], Awaitable[None]],
        query: Callable[[CancelToken], _FoundT],
        *,
        prepare: Callable[[], None] | None = None,
    ) -> _FoundT:
        """What the query finds. Raises Busy, Cancelled when the caller is gone, or LimitExceeded when time is up.

        What has to be there before it can begin is prepared in its place, and takes none of its time.
        """
        turn, cancel = Turn(team), CancelToken()
        running = asyncio.ensure_future(self._run(turn, cancel, query, prepare))
        leaving = asyncio.ensure_future(gone())
        self._wanted.add(cancel)
        try:
            await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wanted.discard(cancel)
            leaving.cancel()
            cancel.cancel()
            if turn.waiting:
                # In the queue there is no statement to interrupt.
                running.cancel()
        await asyncio.wait({running})
        if running.cancelled():
            raise Cancelled("The query was cancelled.")
        return running.result()

    async def _run(
        self,
        turn: Turn,
        cancel: CancelToken,
        query: Callable[[CancelToken], _FoundT],
        prepare: Callable[[], None] | None,
    ) -> _FoundT:
        async with self._places.enter(turn):
            cancel.raise_if_cancelled()
            if prepare is not None:
                await anyio.to_thread.run_sync(prepare, limiter=self._threads)
                cancel.raise_if_cancelled()
            late = asyncio.get_running_loop().call_later(self._seconds, cancel.cancel)
            try:
                return await anyio.to_thread.run_sync(query, cancel, limiter=self._threads)
            except Cancelled as error:
                if asyncio.get_running_loop().time() < late.when():
                    raise
                raise LimitExceeded(
                    f"The query takes longer than the {self._seconds} s that one may take: "
                    "narrow it by filters, or export the rows as one file."
                ) from error
            finally:
                late.cancel()
