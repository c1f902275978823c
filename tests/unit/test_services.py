"""The settings of slots, queue and timeouts apply to the exports of a service."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine.common.cancellation import CancelToken
from engine.common.progress import Phase, Progress
from engine.errors import LimitExceeded
from engine.plan.planner import ExportPlan
from engine.request.formats import FORMATS
from tests.helpers.services import services_in
from tests.helpers.still_time import pass_time, run_still, settled
from web.jobs.admission import ServiceOverloaded
from web.jobs.export_job import ExportJob
from web.settings import AdmissionSettings


class House:
    """A service whose exports run until they are released, and notice a cancellation only then."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, admission: AdmissionSettings) -> None:
        exporter = SimpleNamespace(export=self._export, exports=None, results=SimpleNamespace(store=None))
        patch.setattr("web.container.open_exporter", lambda *_, **__: exporter)
        for module in ("export_job", "export_jobs"):
            patch.setattr(f"web.jobs.{module}.time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
        services = services_in(folder, admission)
        self._jobs = services.jobs
        self._over: dict[str, threading.Event] = {}

    async def ask(self, team: str) -> ExportJob:
        """An export that nobody else has asked for."""
        export_id = f"00000000-0000-0000-0000-{len(self._over):012}"
        self._over[export_id] = threading.Event()
        plan = SimpleNamespace(
            export_id=export_id,
            run=SimpleNamespace(workflow_id="w", run_id="r"),
            request=SimpleNamespace(format=FORMATS["csv"]),
        )
        job = self._jobs.join(cast("ExportPlan", plan), team)
        await settled()
        return job

    def end(self, number: int) -> None:
        """Let the export go that was asked for after so many others."""
        list(self._over.values())[number].set()

    def _export(self, plan: ExportPlan, cancel: CancelToken, progress: Progress, *, known_missing: bool) -> str:
        assert self._over[plan.export_id].wait(20)
        cancel.raise_if_cancelled()
        return "made"


def test_exports_run_and_wait_within_the_set_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        house = House(
            tmp_path,
            monkeypatch,
            AdmissionSettings(
                max_concurrent_exports=2, export_queue_size=2, export_timeout_seconds=9, queue_timeout_seconds=11
            ),
        )
        asked = [[await house.ask(team) for _ in range(3)] for team in ("acme", "rival")]
        for runs, waits, late in asked:
            assert (runs.progress.phase, waits.progress.phase) == (Phase.RUNNING, Phase.QUEUED)
            assert isinstance(late.task.exception(), ServiceOverloaded)
        await pass_time(8)
        for runs, waits, _ in asked:
            assert (runs.cancel.cancelled, waits.task.done()) == (False, False)
        await pass_time(1)
        for runs, waits, _ in asked:
            assert (runs.cancel.cancelled, waits.task.done()) == (True, False)
        await pass_time(2)
        for number, (runs, waits, _) in enumerate(asked):
            assert isinstance(waits.task.exception(), ServiceOverloaded)
            house.end(3 * number)
            with pytest.raises(LimitExceeded, match="9 s"):
                await runs.task

    run_still(work())


def test_waiting_does_not_count_towards_the_export_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        house = House(tmp_path, monkeypatch, AdmissionSettings(max_concurrent_exports=1, export_timeout_seconds=9))
        first, second = await house.ask("acme"), await house.ask("acme")
        await pass_time(6)
        house.end(0)
        await first.task
        await settled()
        await pass_time(8)
        assert (second.progress.phase, second.cancel.cancelled) == (Phase.RUNNING, False)
        await pass_time(1)
        assert second.cancel.cancelled
        house.end(1)
        with pytest.raises(LimitExceeded):
            await second.task

    run_still(work())
