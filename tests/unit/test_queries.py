"""Queries whose caller leaves, wherever they are: what they hold is given back."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from engine.cancel import CancelToken
from engine.errors import Cancelled
from engine.settings import DuckDBSettings
from web.reading.queries import Queries
from web.settings import QuerySettings


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def make_queries() -> Queries:
    """One runs, and of one team four may wait."""
    return Queries(QuerySettings(queries_at_once=1), DuckDBSettings())


class Query:
    """A query that goes on until it is cancelled or let go, of a caller who leaves when told to."""

    def __init__(self, queries: Queries, team: str = "acme") -> None:
        self._left = asyncio.Event()
        self._over = threading.Event()
        self.began = threading.Event()
        self.task = asyncio.create_task(queries.run(team, self._gone, self._run))

    def leave(self) -> None:
        self._left.set()

    def end(self) -> None:
        self._over.set()

    async def until_it_runs(self) -> None:
        assert await asyncio.to_thread(self.began.wait, 20)

    async def _gone(self) -> None:
        await self._left.wait()

    def _run(self, cancel: CancelToken) -> str:
        self.began.set()
        with cancel.calling(self._over.set):
            assert self._over.wait(20)
        cancel.raise_if_cancelled()
        return "found"


def test_who_leaves_the_queue_gives_its_place_back() -> None:
    async def work() -> None:
        queries = make_queries()
        first = Query(queries)
        await first.until_it_runs()
        waiting = [Query(queries) for _ in range(4)]
        await asyncio.sleep(0)
        for query in waiting:
            query.leave()
        for query in waiting:
            with pytest.raises(Cancelled):
                await query.task
        assert not any(query.began.is_set() for query in waiting)
        # There is room for as many again.
        more = [Query(queries) for _ in range(4)]
        for query in (first, *more):
            query.end()
        assert await asyncio.gather(first.task, *(query.task for query in more)) == ["found"] * 5

    run(work())


def test_who_leaves_while_it_runs_ends_it() -> None:
    async def work() -> None:
        queries = make_queries()
        first = Query(queries)
        await first.until_it_runs()
        first.leave()
        with pytest.raises(Cancelled):
            await first.task
        second = Query(queries)
        second.end()
        assert await second.task == "found"

    run(work())


def test_the_end_of_the_service_ends_those_that_wait_too() -> None:
    async def work() -> None:
        queries = make_queries()
        both = [Query(queries), Query(queries)]
        await both[0].until_it_runs()
        queries.cancel()
        for query in both:
            with pytest.raises(Cancelled):
                await query.task

    run(work())
