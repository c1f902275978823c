"""Status documents of exports that are requested, cancelled and requested again by several callers."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.common.cancellation import CancelToken
from engine.common.progress import Phase, Progress
from engine.errors import Cancelled, LimitExceeded
from engine.exports.exporter import Exporter
from engine.exports.status import ExportStatus, ExportStatusStore
from engine.plan.planner import ExportPlan
from engine.request.formats import FORMATS
from engine.stores import open_store
from web.jobs import export_jobs
from web.jobs.admission import Admission
from web.jobs.export_jobs import ExportJobs
from web.settings import AdmissionSettings


def make_plan(number: int) -> ExportPlan:
    """A plan that is not executed."""
    plan = SimpleNamespace(
        export_id=f"00000000-0000-0000-0000-{number:012}",
        run=SimpleNamespace(workflow_id="w", run_id="r"),
        request=SimpleNamespace(format=FORMATS["csv"]),
    )
    return cast("ExportPlan", plan)


PLAN = make_plan(0)
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def run(work: Coroutine[Any, Any, None]) -> None:
    # The bound ends a wait for an export that failed before it began.
    asyncio.run(asyncio.wait_for(work, 60))


class Export:
    """An export that runs until `end` is called, and notices a cancel only then."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self.began = asyncio.Event()
        self.ended = False

    def end(self) -> None:
        self._over.set()

    def run(self, cancel: CancelToken, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(self.began.set)
        assert self._over.wait(20)
        self.ended = True
        cancel.raise_if_cancelled()
        raise LimitExceeded("It was too much.")


class Replica:
    """A service over a store, with exports that the test controls."""

    def __init__(
        self, folder: Path, exports: list[Export], *, max_concurrent: int = 2, grace_seconds: int = 20
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._exports = iter(exports)
        self.statuses = ExportStatusStore(open_store(str(folder)))
        settings = AdmissionSettings(
            max_concurrent_exports=max_concurrent, shutdown_grace_seconds=grace_seconds, abandoned_seconds=0
        )
        admission = Admission(max_concurrent=max_concurrent, queue_size=8, queue_timeout_seconds=60)
        exporter = cast("Exporter", self)
        self.jobs = ExportJobs(exporter, self.statuses, admission, settings)

    def finished(self, plan: ExportPlan) -> None:
        return None

    def export(self, plan: ExportPlan, cancel: CancelToken, progress: Progress, *, known_missing: bool) -> None:
        next(self._exports).run(cancel, self._loop)

    async def ask(self, wait_seconds: float = 0, gone: Callable[[], Awaitable[object]] | None = None) -> ExportStatus:
        async def left() -> None:
            await (gone or _never)()

        found = await self.jobs.export_async(PLAN, "acme", left, wait_seconds)
        assert isinstance(found, ExportStatus)
        return found

    def delete(self) -> None:
        """Do what the endpoint does for DELETE."""
        self.jobs.cancel(self.statuses.change("w", PLAN.export_id, _ending))

    def status(self) -> ExportStatus:
        found = self.statuses.find("w", PLAN.export_id)
        assert found is not None
        return found

    async def until(self, phase: Phase) -> ExportStatus:
        async with asyncio.timeout(20):
            while (status := self.status()).phase is not phase:
                await asyncio.sleep(0.01)
        return status


async def _never() -> None:
    await asyncio.Event().wait()


def _ending(status: ExportStatus) -> ExportStatus:
    return status.model_copy(update={"cancel_requested": True})


def _dead(status: ExportStatus) -> ExportStatus:
    return status.model_copy(update={"written_at": _LONG_AGO})


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_jobs, "_REPORT_INTERVAL_SECONDS", 0.02)


def test_a_cancelled_export_does_not_overwrite_the_status_of_its_successor(tmp_path: Path) -> None:
    async def work() -> None:
        cancelled, again = Export(), Export()
        replica = Replica(tmp_path, [cancelled, again], max_concurrent=3)
        await replica.ask()
        await cancelled.began.wait()
        first = replica.jobs.find(PLAN.export_id)
        assert first is not None
        assert first.reporter is not None
        replica.delete()
        await replica.ask()
        await again.began.wait()
        await replica.until(Phase.RUNNING)
        cancelled.end()
        await first.reporter
        assert replica.status().phase is Phase.RUNNING
        again.end()
        assert (await replica.until(Phase.FAILED)).code == "limit_exceeded"

    run(work())


@pytest.mark.parametrize("callers", [0, 1])
def test_delete_cancels_for_all_status_holders_but_not_for_waiting_callers(tmp_path: Path, callers: int) -> None:
    async def work() -> None:
        export = Export()
        replica = Replica(tmp_path, [export])
        await replica.ask()
        await replica.ask()
        wait = [asyncio.create_task(replica.jobs.export(PLAN, "acme", _never)) for _ in range(callers)]
        await export.began.wait()
        # All status holders count as one.
        while not (shared := replica.jobs.find(PLAN.export_id)) or shared.waiting < 1 + callers:
            await asyncio.sleep(0)
        replica.delete()
        export.end()
        # While a caller waits, the export is not cancelled and ends by itself.
        await replica.until(Phase.FAILED if callers else Phase.CANCELLED)
        for caller in wait:
            with pytest.raises(LimitExceeded):
                await caller

    run(work())


def test_a_caller_that_disconnects_before_it_has_a_status_cancels_the_export(tmp_path: Path) -> None:
    async def work() -> None:
        export = Export()
        replica = Replica(tmp_path, [export])
        with pytest.raises(Cancelled):
            await replica.ask(30, export.began.wait)
        export.end()
        await replica.until(Phase.CANCELLED)

    run(work())


@pytest.mark.parametrize("before", [True, False])
def test_a_disconnect_does_not_cancel_an_export_whose_status_another_caller_has(tmp_path: Path, before: bool) -> None:
    async def work() -> None:
        export, leave = Export(), asyncio.Event()
        replica = Replica(tmp_path, [export])

        async def left() -> None:
            await leave.wait()

        if before:
            await replica.ask()
        leaving = asyncio.create_task(replica.ask(30, left))
        await export.began.wait()
        if not before:
            await replica.ask()
        leave.set()
        with pytest.raises(Cancelled):
            await leaving
        assert replica.jobs.find(PLAN.export_id) is not None
        export.end()
        # It was not cancelled.
        assert (await replica.until(Phase.FAILED)).code == "limit_exceeded"

    run(work())


def test_of_two_waiting_callers_one_disconnects_and_the_other_gets_the_status(tmp_path: Path) -> None:
    async def work() -> None:
        export = Export()
        replica = Replica(tmp_path, [export])
        leaving = asyncio.create_task(replica.ask(30, export.began.wait))
        staying = asyncio.create_task(replica.ask(0.2))
        with pytest.raises(Cancelled):
            await leaving
        await staying
        assert replica.jobs.find(PLAN.export_id) is not None
        replica.delete()
        export.end()
        await replica.until(Phase.CANCELLED)

    run(work())


def test_the_status_has_the_queue_position_of_the_export(tmp_path: Path) -> None:
    async def work() -> None:
        exports = [Export() for _ in range(4)]
        replica = Replica(tmp_path, exports, max_concurrent=1)
        running = [asyncio.create_task(replica.jobs.export(make_plan(n), "acme", _never)) for n in (1, 2)]
        await exports[0].began.wait()
        await replica.ask()
        running.append(asyncio.create_task(replica.jobs.export(make_plan(3), "acme", _never)))
        async with asyncio.timeout(20):
            # Export 2 is ahead of it, and export 3 behind.
            while (place := replica.status().queue_place) is None:
                await asyncio.sleep(0.01)
        assert place == 2
        exports[0].end()
        async with asyncio.timeout(20):
            while replica.status().queue_place == 2:
                await asyncio.sleep(0.01)
        assert replica.status().queue_place == 1
        for export in exports:
            export.end()
        await replica.until(Phase.FAILED)
        await asyncio.gather(*running, return_exceptions=True)

    run(work())


@pytest.mark.parametrize("grace_seconds", [0, 20])
def test_the_final_status_is_written_before_the_service_stops(tmp_path: Path, grace_seconds: int) -> None:
    async def work() -> None:
        export = Export()
        replica = Replica(tmp_path, [export], grace_seconds=grace_seconds)
        await replica.ask()
        await export.began.wait()
        closing = asyncio.create_task(replica.jobs.close())
        while not grace_seconds and replica.jobs.find(PLAN.export_id):
            await asyncio.sleep(0)
        export.end()
        await closing
        assert replica.status().phase is (Phase.FAILED if grace_seconds else Phase.CANCELLED)

    run(work())


def test_a_cancelled_export_cleans_up_before_the_service_stops(tmp_path: Path) -> None:
    async def work() -> None:
        export = Export()
        replica = Replica(tmp_path, [export], grace_seconds=0)

        async def leave() -> None:
            await export.began.wait()

        with pytest.raises(Cancelled):
            await replica.jobs.export(PLAN, "acme", leave)
        asyncio.get_running_loop().call_later(0.05, export.end)
        await replica.jobs.close()
        assert export.ended

    run(work())


@pytest.mark.parametrize("left", ["failed", "died"])
def test_a_replica_that_still_runs_takes_over_the_status(
    tmp_path: Path, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        exports = [Export(), Export()]
        here, there = Replica(tmp_path, exports[:1]), Replica(tmp_path, exports[1:])
        mine = (await here.ask()).nonce
        theirs = (await there.ask()).nonce
        await there.until(Phase.RUNNING)
        # The replica that was asked last writes the status.
        assert there.status().nonce == theirs
        if left == "failed":
            exports[1].end()
        else:
            shared = there.jobs.find(PLAN.export_id)
            assert shared is not None
            assert shared.reporter is not None
            shared.reporter.cancel()
            await asyncio.wait({shared.reporter})
            there.statuses.change("w", PLAN.export_id, _dead)
        async with asyncio.timeout(20):
            while here.status().nonce != mine:
                await asyncio.sleep(0.01)
        assert (await here.until(Phase.RUNNING)).code is None
        for export in exports:
            export.end()
        await here.until(Phase.FAILED)

    run(work())
