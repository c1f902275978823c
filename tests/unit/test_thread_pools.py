"""However much work of one kind hangs, there are threads for everything else."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import anyio.to_thread
import pytest
from starlette.requests import Request
from starlette.types import Message

from engine.exports.exporter import Exporter
from engine.exports.status import ExportStatusStore
from engine.plan.planner import ExportPlan
from engine.request.formats import FORMATS
from engine.settings import DuckDBSettings
from engine.stores.object_stream import ObjectStream
from web.api.request_reader import authenticate
from web.auth.api_keys import parse_api_keys
from web.auth.authenticator import Authenticator
from web.http import thread_limits
from web.http.streaming import FileStream
from web.jobs.admission import Admission
from web.jobs.export_jobs import ExportJobs
from web.jobs.query_jobs import QueryJobs
from web.settings import AdmissionSettings, QuerySettings

HANGING = 50
"""More than the threads of a pool."""


class Hanging:
    """Work that hangs until it is released."""

    def __init__(self) -> None:
        self._go_on = threading.Event()
        self._began = threading.Semaphore(0)

    def hang(self, *_: object, **__: object) -> Any:
        self._began.release()
        assert self._go_on.wait(60)

    def wait_for(self, number: int) -> None:
        """Wait until ``number`` calls hang."""
        for _ in range(number):
            assert self._began.acquire(timeout=10)

    def go_on(self) -> None:
        self._go_on.set()


async def _never() -> None:
    await asyncio.Event().wait()


def _exports(hanging: Hanging) -> list[Awaitable[object]]:
    places = Admission(max_concurrent=HANGING + 1, queue_size=0, queue_timeout_seconds=60)
    exporter = cast("Exporter", SimpleNamespace(export=hanging.hang, finished=lambda _: None))
    settings = AdmissionSettings(max_concurrent_exports=HANGING + 1)
    jobs = ExportJobs(exporter, cast("ExportStatusStore", None), places, settings)
    run = SimpleNamespace(workflow_id="w", run_id="r")
    request = SimpleNamespace(format=FORMATS["csv"])
    plans = [SimpleNamespace(export_id=str(n), run=run, request=request) for n in range(HANGING)]
    return [jobs.export(cast("ExportPlan", plan), "acme", _never) for plan in plans]


def _queries(hanging: Hanging) -> list[Awaitable[object]]:
    queries = QueryJobs(QuerySettings(max_concurrent_queries=HANGING + 1), DuckDBSettings())
    return [queries.run("acme", _never, hanging.hang) for _ in range(HANGING)]


def _downloads(hanging: Hanging) -> list[Awaitable[object]]:
    class Chunks(ObjectStream):
        def __next__(self) -> bytes:
            hanging.hang()
            raise StopIteration

        def close(self) -> None:
            pass

    async def send(_: Message) -> None:
        pass

    async def receive() -> Message:
        raise AssertionError

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    return [FileStream(Chunks(), 200, {})(scope, receive, send) for _ in range(HANGING)]


KINDS: dict[str, tuple[Callable[[Hanging], list[Awaitable[object]]], int]] = {
    "exports": (_exports, HANGING),
    "queries": (_queries, HANGING),
    "downloads": (_downloads, int(thread_limits.DOWNLOADS.total_tokens)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_hanging_work_of_one_kind_leaves_threads_for_the_others(kind: str) -> None:
    async def work() -> None:
        make, number = KINDS[kind]
        hanging = Hanging()
        tasks = [asyncio.ensure_future(one) for one in make(hanging)]
        await asyncio.to_thread(hanging.wait_for, number)
        try:
            async with asyncio.timeout(10):
                assert await anyio.to_thread.run_sync(lambda: "here") == "here"
        finally:
            hanging.go_on()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(work())


def test_hanging_work_does_not_prevent_authentication() -> None:
    async def work() -> None:
        hanging = Hanging()
        known = Authenticator([parse_api_keys("a-key=acme")], None)
        services = SimpleNamespace(authenticator=known)
        scope = {
            "type": "http",
            "headers": [(b"x-api-key", b"a-key")],
            "app": SimpleNamespace(state=SimpleNamespace(services=services)),
        }
        pool = anyio.to_thread.current_default_thread_limiter()
        tasks = [asyncio.ensure_future(anyio.to_thread.run_sync(hanging.hang)) for _ in range(HANGING)]
        await asyncio.to_thread(hanging.wait_for, int(pool.total_tokens))
        try:
            async with asyncio.timeout(10):
                assert (await authenticate(Request(scope))).team == "acme"
        finally:
            hanging.go_on()
            await asyncio.gather(*tasks)

    asyncio.run(work())
