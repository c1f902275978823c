"""Queries share their places as exports do; one whose caller leaves, wherever it is, gives back what it holds."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, LimitExceeded
from engine.settings import DuckDBSettings
from tests.helpers.still_time import pass_time, run_still, settled
from web.jobs.admission import ServiceOverloaded
from web.jobs.query_jobs import QueryJobs
from web.settings import QuerySettings


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def make_queries(max_concurrent: int = 1, seconds: int = 30) -> QueryJobs:
    """For each that runs eight wait, half of them of one team."""
    settings = QuerySettings(max_concurrent_queries=max_concurrent, query_timeout_seconds=seconds)
    return QueryJobs(settings, DuckDBSettings())


class Query:
    """A query that goes on until it is let go, or cancelled if it hears of that; its caller leaves when told to."""

    def __init__(
        self,
        queries: QueryJobs,
        team: str = "acme",
        *,
        hears: bool = True,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._left = asyncio.Event()
        self._over = threading.Event()
        self._hears = hears
        self.began = threading.Event()
        self.task = asyncio.create_task(queries.run(team, self._gone, self._run, prepare=prepare))

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
        with cancel.calling(self._over.set if self._hears else lambda: None):
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
        # There is room for as many again, and for no more of them.
        more = [Query(queries) for _ in range(4)]
        late = Query(queries)
        await settled()
        assert [query.task.done() for query in (*more, late)] == [False] * 4 + [True]
        assert isinstance(late.task.exception(), ServiceOverloaded)
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


def test_no_team_has_the_last_of_several_places() -> None:
    async def work() -> None:
        queries = make_queries(max_concurrent=2)
        first, second, theirs = Query(queries), Query(queries), Query(queries, "rival")
        for query in (first, theirs):
            await query.until_it_runs()
        assert not second.began.is_set()
        for query in (first, second, theirs):
            query.end()
            assert await query.task == "found"

    run(work())


def test_one_waits_for_as_long_as_another_may_run() -> None:
    async def work() -> None:
        queries = make_queries(seconds=7)
        first = Query(queries, hears=False)
        await first.until_it_runs()
        second = Query(queries)
        await settled()
        await pass_time(6)
        assert not second.task.done()
        await pass_time(1)
        assert isinstance(second.task.exception(), ServiceOverloaded)
        first.end()
        with pytest.raises(LimitExceeded, match="7 s"):
            await first.task

    run_still(work())


def test_what_is_prepared_for_a_query_takes_none_of_its_time() -> None:
    async def work() -> None:
        queries = make_queries(seconds=7)
        ready = threading.Event()

        def prepare() -> None:
            assert ready.wait(20)

        query = Query(queries, hears=False, prepare=prepare)
        await settled()
        await pass_time(8)
        assert not query.began.is_set()
        ready.set()
        await query.until_it_runs()
        await pass_time(6)
        query.end()
        assert await query.task == "found"

    run_still(work())


def test_who_leaves_while_a_query_is_prepared_never_begins_it() -> None:
    async def work() -> None:
        queries = make_queries()
        ready = threading.Event()

        def prepare() -> None:
            assert ready.wait(20)

        query = Query(queries, prepare=prepare)
        await settled()
        query.leave()
        await settled()
        ready.set()
        with pytest.raises(Cancelled):
            await query.task
        assert not query.began.is_set()

    run(work())
