"""How often the store is asked whether an export is there: once, and again by whoever waited in the queue."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.exports.export import Export
from engine.exports.exporter import Exporter
from engine.exports.status import Tickets
from engine.plan.planner import ExportPlan
from engine.stores import DirectoryStore
from tests.helpers.engine import Engine
from web.jobs import export_jobs
from web.jobs.admission import Admission
from web.jobs.export_jobs import ExportJobs
from web.settings import AdmissionSettings


class Watched:
    """An exporter that notes what it is asked, and writes nothing before it may."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self.asked: list[str] = []
        self.may_write = threading.Event()

    def finished(self, plan: ExportPlan) -> Export | None:
        self.asked.append("finished")
        return self._exporter.finished(plan)

    def export(self, *arguments: Any, known_missing: bool) -> Export:
        self.asked.append("export" if known_missing else "look and export")
        self.may_write.wait(30)
        return self._exporter.export(*arguments, known_missing=known_missing)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = Engine(tmp_path, DirectoryStore(tmp_path / "store"))
    engine.publish_rows([{"n": 1}])
    return engine


@pytest.fixture
def house(engine: Engine) -> SimpleNamespace:
    """A plan, what watches the exporter, and the exports of one place."""
    exporter = engine.exporter()
    watched = Watched(exporter)
    admission = Admission(at_once=1, queue_length=4, longest_wait_seconds=60)
    exports = ExportJobs(cast("Exporter", watched), Tickets(engine.store), admission, AdmissionSettings())
    return SimpleNamespace(
        plan=engine.plan(exporter, "csv"), other=engine.plan(exporter, "json"), watched=watched, exports=exports
    )


async def stays() -> None:
    await asyncio.Event().wait()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_new_export_is_looked_for_once(house: SimpleNamespace) -> None:
    async def work() -> None:
        house.watched.may_write.set()
        first = await house.exports.export(house.plan, "acme", stays)
        assert house.watched.asked == ["finished", "export"]
        assert await house.exports.export(house.plan, "acme", stays) == first
        assert house.watched.asked == ["finished", "export", "finished"]

    run(work())


def test_whoever_joins_does_not_look(house: SimpleNamespace) -> None:
    async def work() -> None:
        first = asyncio.ensure_future(house.exports.export(house.plan, "acme", stays))
        while "export" not in house.watched.asked:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(house.exports.export(house.plan, "acme", stays))
        await asyncio.sleep(0)
        house.watched.may_write.set()
        assert await first == await second
        assert house.watched.asked == ["finished", "export"]

    run(work())


def test_whoever_waited_in_the_queue_looks_again(house: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        first = asyncio.ensure_future(house.exports.export(house.plan, "acme", stays))
        while "export" not in house.watched.asked:
            await asyncio.sleep(0.001)
        monkeypatch.setattr(export_jobs, "_FRESH_SECONDS", 0)
        second = asyncio.ensure_future(house.exports.export(house.other, "acme", stays))
        while house.exports.find(house.other.export_id) is None:
            await asyncio.sleep(0.001)
        house.watched.may_write.set()
        await asyncio.gather(first, second)
        assert house.watched.asked == ["finished", "export", "finished", "look and export"]

    run(work())
