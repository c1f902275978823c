"""Asynchronous exports: they go on when their caller has gone, and have a ticket that any process can read."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import anyio.to_thread

from engine.common.progress import Phase
from engine.errors import Cancelled, EngineError
from engine.exports.export import Export
from engine.exports.exporter import Exporter
from engine.exports.status import Ticket, Tickets
from engine.plan.planner import ExportPlan
from web.jobs.admission import Admission, Busy
from web.jobs.running import RunningExports, Shared, new_nonce

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
        """The export if it is there within ``wait_seconds``, else its ticket; from then on it goes on by itself.

        Raises Busy if the queue is full, what the export raised while the caller waited, or Cancelled if it left.
        """
        finished = await anyio.to_thread.run_sync(self._exporter.finished, plan)
        if finished is not None:
            return finished if wait_seconds else await anyio.to_thread.run_sync(self._done, plan, finished)
        ticket, shared = await self._begin(plan, team)
        # On behalf of its ticket, which nobody has before the answer.
        shared.waiting += 1
        if shared.reporter is None:
            shared.reporter = self._running.follow(self._report(plan, shared))
        given = False
        try:
            if wait_seconds:
                with suppress(TimeoutError):
                    return await asyncio.wait_for(self._running.wait(plan, shared, gone), wait_seconds)
            # However many have it, it waits once.
            given, shared.ticketed = not shared.ticketed, True
        finally:
            if not given:
                self._running.leave(plan.export_id, shared)
        # A queue that is full says so now, not by the ticket.
        await asyncio.sleep(0)
        if shared.task.done() and not shared.task.cancelled() and isinstance(shared.task.exception(), Busy):
            return shared.task.result()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Stop waiting for an export of this process on behalf of its ticket; other processes read it there."""
        shared = self._running.find(ticket.export_id)
        if shared is not None and shared.nonce == ticket.nonce:
            self._leave(ticket.export_id, shared)

    async def _begin(self, plan: ExportPlan, team: str) -> tuple[Ticket, Shared]:
        """A ticket, and the running export whose words it holds."""
        while True:
            shared, nonce = self._running.find(plan.export_id), new_nonce()
            ticket = await anyio.to_thread.run_sync(self._tickets.issue, plan, shared.nonce if shared else nonce)
            # Otherwise one has ended meanwhile, or another has begun.
            if self._running.find(plan.export_id) is shared:
                break
        if shared is None:
            shared = self._running.joined(plan, team)
            shared.nonce = nonce
        return ticket, shared

    def _done(self, plan: ExportPlan, export: Export) -> Ticket:
        nonce = new_nonce()
        self._tickets.issue(plan, nonce)
        return self._tickets.report(plan, nonce, _done(export), wanted=True)

    def _leave(self, export_id: str, shared: Shared) -> None:
        if shared.ticketed:
            shared.ticketed = False
            self._running.leave(export_id, shared)

    async def _report(self, plan: ExportPlan, shared: Shared) -> None:
        """Write the ticket while the export runs, and leave it when the ticket asks for that."""
        while not shared.task.done():
            progress = shared.progress
            state = {
                "phase": progress.phase,
                "rows": progress.rows,
                "bytes": progress.bytes,
                "queue_place": self._admission.place(shared.turn),
                "code": None,
                "message": None,
            }
            with suppress(EngineError):
                # A store that is away for a moment ends no export.
                ticket = await self._write(plan, shared, state)
                if ticket.cancel_requested:
                    self._leave(plan.export_id, shared)
            await asyncio.wait({shared.task}, timeout=_REPORT_SECONDS)
        with suppress(EngineError):
            await self._write(plan, shared, _outcome(shared.task))

    async def _write(self, plan: ExportPlan, shared: Shared, state: dict[str, object]) -> Ticket:
        report = partial(self._tickets.report, plan, shared.nonce, state, wanted=not shared.cancel.cancelled)
        return await anyio.to_thread.run_sync(report)


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
