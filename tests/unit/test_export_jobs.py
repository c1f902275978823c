"""How often the store is asked for a finished export: once, and again after a wait in the queue."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.exports.export import Export
from engine.exports.exporter import Exporter
from engine.exports.status import ExportStatusStore
from engine.plan.planner import ExportPlan
from engine.stores import DirectoryStore
from tests.helpers.engine import Engine
from web.jobs import export_jobs
from web.jobs.admission import Admission
from web.jobs.export_jobs import ExportJobs
from web.settings import AdmissionSettings


class RecordingExporter:
    """An exporter that records its calls, and writes only after `may_write` is set."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self.calls: list[str] = []
        self.may_write = threading.Event()

    def finished(self, plan: ExportPlan) -> Export | None:
        self.calls.append("finished")
        return self._exporter.finished(plan)

    def export(self, *arguments: Any, known_missing: bool) -> Export:
        self.calls.append("export" if known_missing else "look and export")
        self.may_write.wait(30)
        return self._exporter.export(*arguments, known_missing=known_missing)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = Engine(tmp_path, DirectoryStore(tmp_path / "store"))
    engine.publish_rows([{"n": 1}])
    return engine


@pytest.fixture
def house(engine: Engine) -> SimpleNamespace:
    """Two plans, the recording exporter, and export jobs with one slot."""
    exporter = engine.exporter()
    recorder = RecordingExporter(exporter)
    admission = Admission(max_concurrent=1, queue_size=4, queue_timeout_seconds=60)
    exports = ExportJobs(cast("Exporter", recorder), ExportStatusStore(engine.store), admission, AdmissionSettings())
    return SimpleNamespace(
        plan=engine.plan(exporter, "csv"), other=engine.plan(exporter, "json"), recorder=recorder, exports=exports
    )


async def stay_connected() -> None:
    await asyncio.Event().wait()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_new_export_is_looked_up_once(house: SimpleNamespace) -> None:
    async def work() -> None:
        house.recorder.may_write.set()
        first = await house.exports.export(house.plan, "acme", stay_connected)
        assert house.recorder.calls == ["finished", "export"]
        assert await house.exports.export(house.plan, "acme", stay_connected) == first
        assert house.recorder.calls == ["finished", "export", "finished"]

    run(work())


def test_a_caller_that_joins_a_job_does_not_look_it_up(house: SimpleNamespace) -> None:
    async def work() -> None:
        first = asyncio.ensure_future(house.exports.export(house.plan, "acme", stay_connected))
        while "export" not in house.recorder.calls:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(house.exports.export(house.plan, "acme", stay_connected))
        await asyncio.sleep(0)
        house.recorder.may_write.set()
        assert await first == await second
        assert house.recorder.calls == ["finished", "export"]

    run(work())


def test_a_job_is_looked_up_again_after_the_queue(house: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        first = asyncio.ensure_future(house.exports.export(house.plan, "acme", stay_connected))
        while "export" not in house.recorder.calls:
            await asyncio.sleep(0.001)
        monkeypatch.setattr(export_jobs, "_FRESH_SECONDS", 0)
        second = asyncio.ensure_future(house.exports.export(house.other, "acme", stay_connected))
        while house.exports.find(house.other.export_id) is None:
            await asyncio.sleep(0.001)
        house.recorder.may_write.set()
        await asyncio.gather(first, second)
        assert house.recorder.calls == ["finished", "export", "finished", "look and export"]

    run(work())
