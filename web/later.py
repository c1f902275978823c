"""Asynchronous exports: they go on when their caller has gone, and have a ticket that any process can read."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import anyio.to_thread

from engine.errors import Cancelled, EngineError, ObjectMissing
from engine.exporter import Exporter
from engine.exports import Export
from engine.plan import ExportPlan
from engine.progress import Phase
from engine.tickets import Ticket, Tickets
from web.admission import Admission, Busy
from web.running import RunningExports, Shared

_REPORT_SECONDS = 1.0


class LaterExports:
    """Belongs to one event loop."""

    def __init__(self, exporter: Exporter, tickets: Tickets, running: RunningExports, admission: Admission) -> None:
        self._exporter = exporter
        self._tickets = tickets
        self._running = running
        self._admission = admission

    async def export(
        self, plan: ExportPlan, team: str, gone: Callable[[], Awaitable[None]], wait_seconds: float
    ) -> Export | Ticket:
        """The export if it is there within ``wait_seconds``, else its ticket; then it goes on by itself.

        Raises Busy if the queue is full, or what the export raised while the caller waited.
        """
        finished = await anyio.to_thread.run_sync(self._exporter.finished, plan)
        if finished is not None and wait_seconds:
            return finished
        ticket = await anyio.to_thread.run_sync(self._tickets.issue, plan)
        if finished is not None:
            return await anyio.to_thread.run_sync(self._write, plan, _done(finished))
        shared = self._running.joined(plan, team)
        if not shared.ticketed:
            shared.waiting += 1
            shared.ticketed = True
        if shared.reporter is None:
            shared.reporter = asyncio.create_task(self._report(plan, team, shared))
        if wait_seconds:
            with suppress(TimeoutError):
                return await asyncio.wait_for(self._running.wait(plan, shared, gone), wait_seconds)
        # A queue that is full says so now, not by the ticket.
        await asyncio.sleep(0)
        if shared.task.done() and isinstance(shared.task.exception(), Busy):
            return shared.task.result()
        return ticket

    def cancel(self, export_id: str) -> None:
        """Stop waiting for an export of this process on behalf of its ticket; other processes read it there."""
        shared = self._running.find(export_id)
        if shared is not None and shared.ticketed:
            shared.ticketed = False
            self._running.leave(export_id, shared)

    async def _report(self, plan: ExportPlan, team: str, shared: Shared) -> None:
        """Write the ticket while the export runs, and leave it when the ticket asks for that."""
        while not shared.task.done():
            progress = shared.progress
            state = {
                "phase": progress.phase,
                "rows": progress.rows,
                "bytes": progress.bytes,
                "queue_place": self._admission.place(team) if progress.phase is Phase.QUEUED else None,
            }
            with suppress(EngineError):
                # A store that is away for a moment ends no export.
                ticket = await anyio.to_thread.run_sync(self._write, plan, state)
                if ticket.cancel_requested:
                    self.cancel(plan.export_id)
            await asyncio.wait({shared.task}, timeout=_REPORT_SECONDS)
        with suppress(EngineError):
            await anyio.to_thread.run_sync(self._write, plan, _outcome(shared.task))

    def _write(self, plan: ExportPlan, state: dict[str, object]) -> Ticket:
        state = {**state, "written_at": datetime.now(UTC)}
        try:
            return self._tickets.change(
                plan.run.workflow_id, plan.export_id, lambda ticket: ticket.model_copy(update=state)
            )
        except ObjectMissing:
            # Swept away while the export ran.
            return self._tickets.issue(plan)


def _done(export: Export) -> dict[str, object]:
    return {"phase": Phase.DONE, "rows": export.rows, "bytes": export.size, "queue_place": None}


def _outcome(task: "asyncio.Task[Export]") -> dict[str, object]:
    error = None if task.cancelled() else task.exception()
    if task.cancelled() or isinstance(error, Cancelled):
        return {"phase": Phase.CANCELLED, "queue_place": None}
    if error is None:
        return _done(task.result())
    code, message = "internal", "Something went wrong on our side."
    if isinstance(error, Busy):
        code, message = "busy", str(error)
    elif isinstance(error, EngineError):
        code, message = error.code, error.message
    return {"phase": Phase.FAILED, "queue_place": None, "code": code, "message": message}
