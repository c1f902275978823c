"""Tickets of exports that several ask for, end and ask for again: each holds the words of the one that is wanted."""

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
from engine.exports.status import Ticket, Tickets
from engine.plan.planner import ExportPlan
from engine.request.formats import FORMATS
from engine.stores import open_store
from web.jobs import export_jobs
from web.jobs.admission import Admission
from web.jobs.export_jobs import ExportJobs
from web.settings import AdmissionSettings


def make_plan(number: int) -> ExportPlan:
    """A plan of no export that anybody could make."""
    plan = SimpleNamespace(
        export_id=f"00000000-0000-0000-0000-{number:012}",
        run=SimpleNamespace(workflow_id="w", run_id="r"),
        request=SimpleNamespace(format=FORMATS["csv"]),
    )
    return cast("ExportPlan", plan)


PLAN = make_plan(0)
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def run(work: Coroutine[Any, Any, None]) -> None:
    # What waits for an export that failed before it began would wait for ever.
    asyncio.run(asyncio.wait_for(work, 60))


class Export:
    """One that runs until it is let go, and hears of a cancel only then."""

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
    """A service over a store whose exports are told what to do."""

    def __init__(self, folder: Path, exports: list[Export], *, at_once: int = 2, grace_seconds: int = 20) -> None:
        self._loop = asyncio.get_running_loop()
        self._exports = iter(exports)
        self.tickets = Tickets(open_store(str(folder)))
        settings = AdmissionSettings(exports_at_once=at_once, grace_seconds=grace_seconds)
        admission = Admission(at_once=at_once, queue_length=8, longest_wait_seconds=60)
        exporter = cast("Exporter", self)
        self.jobs = ExportJobs(exporter, self.tickets, admission, settings)

    def finished(self, plan: ExportPlan) -> None:
        return None

    def export(self, plan: ExportPlan, cancel: CancelToken, progress: Progress, *, known_missing: bool) -> None:
        next(self._exports).run(cancel, self._loop)

    async def ask(self, wait_seconds: float = 0, gone: Callable[[], Awaitable[object]] | None = None) -> Ticket:
        async def left() -> None:
            await (gone or _never)()

        found = await self.jobs.export_async(PLAN, "acme", left, wait_seconds)
        assert isinstance(found, Ticket)
        return found

    def delete(self) -> None:
        """What a DELETE does where it is answered."""
        self.jobs.cancel(self.tickets.change("w", PLAN.export_id, _ending))

    def ticket(self) -> Ticket:
        found = self.tickets.find("w", PLAN.export_id)
        assert found is not None
        return found

    async def until(self, phase: Phase) -> Ticket:
        async with asyncio.timeout(20):
            while (ticket := self.ticket()).phase is not phase:
                await asyncio.sleep(0.01)
        return ticket


async def _never() -> None:
    await asyncio.Event().wait()


def _ending(ticket: Ticket) -> Ticket:
    return ticket.model_copy(update={"cancel_requested": True})


def _dead(ticket: Ticket) -> Ticket:
    return ticket.model_copy(update={"written_at": _LONG_AGO})


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_jobs, "_REPORT_SECONDS", 0.02)


def test_the_last_word_of_a_cancelled_export_is_not_of_the_next(tmp_path: Path) -> None:
    async def work() -> None:
        cancelled, again = Export(), Export()
        replica = Replica(tmp_path, [cancelled, again], at_once=3)
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
        assert replica.ticket().phase is Phase.RUNNING
        again.end()
        assert (await replica.until(Phase.FAILED)).code == "limit_exceeded"

    run(work())


@pytest.mark.parametrize("callers", [0, 1])
def test_a_delete_ends_it_for_all_tickets_and_for_nobody_who_waits_for_the_answer(tmp_path: Path, callers: int) -> None:
    async def work() -> None:
        export = Export()
        replica = Replica(tmp_path, [export])
        await replica.ask()
        await replica.ask()
        wait = [asyncio.create_task(replica.jobs.export(PLAN, "acme", _never)) for _ in range(callers)]
        await export.began.wait()
        # Its tickets count as one.
        while not (shared := replica.jobs.find(PLAN.export_id)) or shared.waiting < 1 + callers:
            await asyncio.sleep(0)
        replica.delete()
        export.end()
        # Where somebody waits, it comes to an end of its own: it is not cancelled.
        await replica.until(Phase.FAILED if callers else Phase.CANCELLED)
        for caller in wait:
            with pytest.raises(LimitExceeded):
                await caller

    run(work())


def test_one_that_leaves_before_it_has_its_ticket_ends_the_export(tmp_path: Path) -> None:
    async def work() -> None:
        export = Export()
        replica = Replica(tmp_path, [export])
        with pytest.raises(Cancelled):
            await replica.ask(30, export.began.wait)
        export.end()
        await replica.until(Phase.CANCELLED)

    run(work())


@pytest.mark.parametrize("before", [True, False])
def test_one_that_leaves_ends_nothing_that_another_has_a_ticket_of(tmp_path: Path, before: bool) -> None:
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
        # It came to an end of its own.
        assert (await replica.until(Phase.FAILED)).code == "limit_exceeded"

    run(work())


def test_of_two_that_wait_one_leaves_and_the_other_has_its_ticket(tmp_path: Path) -> None:
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


def test_the_place_is_that_of_the_export(tmp_path: Path) -> None:
    async def work() -> None:
        exports = [Export() for _ in range(4)]
        replica = Replica(tmp_path, exports, at_once=1)
        running = [asyncio.create_task(replica.jobs.export(make_plan(n), "acme", _never)) for n in (1, 2)]
        await exports[0].began.wait()
        await replica.ask()
        running.append(asyncio.create_task(replica.jobs.export(make_plan(3), "acme", _never)))
        async with asyncio.timeout(20):
            # 2 is ahead, and 3 behind it.
            while (place := replica.ticket().queue_place) is None:
                await asyncio.sleep(0.01)
        assert place == 2
        exports[0].end()
        async with asyncio.timeout(20):
            while replica.ticket().queue_place == 2:
                await asyncio.sleep(0.01)
        assert replica.ticket().queue_place == 1
        for export in exports:
            export.end()
        await replica.until(Phase.FAILED)
        await asyncio.gather(*running, return_exceptions=True)

    run(work())


@pytest.mark.parametrize("grace_seconds", [0, 20])
def test_the_last_word_is_said_before_the_service_stops(tmp_path: Path, grace_seconds: int) -> None:
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
        assert replica.ticket().phase is (Phase.FAILED if grace_seconds else Phase.CANCELLED)

    run(work())


def test_what_was_cancelled_cleans_up_before_the_service_stops(tmp_path: Path) -> None:
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
def test_a_replica_that_works_on_takes_the_ticket_over(
    tmp_path: Path, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        exports = [Export(), Export()]
        here, there = Replica(tmp_path, exports[:1]), Replica(tmp_path, exports[1:])
        mine = (await here.ask()).nonce
        theirs = (await there.ask()).nonce
        await there.until(Phase.RUNNING)
        # The last who was asked tells of it.
        assert there.ticket().nonce == theirs
        if left == "failed":
            exports[1].end()
        else:
            shared = there.jobs.find(PLAN.export_id)
            assert shared is not None
            assert shared.reporter is not None
            shared.reporter.cancel()
            await asyncio.wait({shared.reporter})
            there.tickets.change("w", PLAN.export_id, _dead)
        async with asyncio.timeout(20):
            while here.ticket().nonce != mine:
                await asyncio.sleep(0.01)
        assert (await here.until(Phase.RUNNING)).code is None
        for export in exports:
            export.end()
        await here.until(Phase.FAILED)

    run(work())
