"""Queries that run in this process: a few at once, each with a deadline, and ended when nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio.to_thread

from engine.cancel import CancelToken
from engine.errors import Cancelled, LimitExceeded
from engine.sandbox import Limits
from engine.settings import DuckDBSettings, megabytes
from web import metrics
from web.admission import Admission
from web.settings import QuerySettings

_WAITING_FOR_EACH = 8

_FoundT = TypeVar("_FoundT")


class Queries:
    """Belongs to one event loop."""

    def __init__(self, settings: QuerySettings, duckdb: DuckDBSettings) -> None:
        self._places = Admission(
            at_once=settings.queries_at_once,
            queue_length=settings.queries_at_once * _WAITING_FOR_EACH,
            queued=metrics.QUERIES_QUEUED,
        )
        self._seconds = settings.query_seconds
        self._running: set[CancelToken] = set()
        self.sql = settings.sql
        self.duckdb = duckdb.model_copy(update={"memory_limit": settings.query_memory_limit})
        """What DuckDB may take for a page or the facts of a column."""
        self.limits = Limits(
            memory_megabytes=megabytes(settings.query_memory_limit),
            threads=duckdb.threads,
            seconds=self._seconds,
            confined=settings.sql == "confined",
        )
        """What a statement that people type may take."""

    def cancel(self) -> None:
        """End all that run."""
        for running in self._running:
            running.cancel()

    async def run(
        self, team: str, gone: Callable[[], Awaitable[None]], query: Callable[[CancelToken], _FoundT]
    ) -> _FoundT:
        """What the query finds. Raises Busy, Cancelled when the caller is gone, or LimitExceeded when time is up."""
        cancel = CancelToken()
        async with self._places.enter(team):
            late = asyncio.get_running_loop().call_later(self._seconds, cancel.cancel)
            self._running.add(cancel)
            running = asyncio.ensure_future(anyio.to_thread.run_sync(query, cancel))
            leaving = asyncio.ensure_future(gone())
            try:
                await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not running.done():
                    cancel.cancel()
                return await running
            except Cancelled as error:
                if asyncio.get_running_loop().time() < late.when():
                    raise
                raise LimitExceeded(
                    f"The query takes longer than the {self._seconds} s that one may take: "
                    "narrow it by filters, or export the rows as one file."
                ) from error
            finally:
                self._running.discard(cancel)
                late.cancel()
                leaving.cancel()
