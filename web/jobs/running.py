"""Exports that run in this process: equal requests share one, and it ends early only when nobody waits for it."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from engine.common.cancellation import CancelToken
from engine.common.progress import Phase, Progress
from engine.errors import Cancelled, LimitExceeded
from engine.exports.export import Export
from engine.exports.exporter import Exporter
from engine.plan.planner import ExportPlan
from web.jobs.admission import Admission, Busy, Turn
from web.settings import AdmissionSettings
from web.telemetry import metrics
from web.telemetry.log_context import asker
from web.telemetry.logs import tell
from web.telemetry.tracing import working

_LOOKED_SECONDS = 1.0
"""How long a look at the store is good for: what comes after it costs the work twice, and nothing else."""
_DoneT = TypeVar("_DoneT")


def new_nonce() -> str:
    """What tells an export from others that make, or made, the same."""
    return uuid.uuid4().hex


@dataclass
class Shared:
    """One running export. Nobody's leaving cancels it for the others; a ticket waits like a caller."""

    turn: Turn
    cancel: CancelToken = field(default_factory=CancelToken)
    progress: Progress = field(default_factory=Progress)
    nonce: str = field(default_factory=new_nonce)
    """Its mark in a ticket."""
    task: "asyncio.Task[Export]" = field(init=False)
    asked: float = field(default_factory=time.monotonic)
    admitted: float | None = None
    waiting: int = 0
    ticketed: bool = False
    reporter: "asyncio.Task[None] | None" = None
    asker: dict[str, object] = field(default_factory=asker)
    """Who asked first: others may have joined."""


class RunningExports:
    """Belongs to one event loop."""

    def __init__(self, exporter: Exporter, admission: Admission, settings: AdmissionSettings) -> None:
        self._exporter = exporter
        self._admission = admission
        self._deadline_seconds = settings.deadline_seconds
        self._grace_seconds = settings.grace_seconds
        # Of their own: with those of everyone else, exports could take all that keys are checked on.
        self._threads = anyio.CapacityLimiter(settings.exports_at_once)
        self._running: dict[str, Shared] = {}
        self._unfinished: set[asyncio.Task[Any]] = set()

    async def export(self, plan: ExportPlan, team: str, gone: Callable[[], Awaitable[None]]) -> Export:
        """The finished export of a plan: the object that is there, the one being made, or a new one.

        What ``gone`` gives ends when the caller no longer wants it. Raises Cancelled then, Busy if the queue is full,
        or what the export raised.
        """
        shared = self.find(plan.export_id)
        if shared is None:
            finished = await anyio.to_thread.run_sync(self._exporter.finished, plan)
            if finished is not None:
                return finished
            shared = self.joined(plan, team)
        return await self.wait(plan, shared, gone)

    def joined(self, plan: ExportPlan, team: str) -> Shared:
        """The running export of that plan, or a new one; the caller has looked for a finished one.

        Whoever wants it counts itself as ``waiting``.
        """
        return self._running.get(plan.export_id) or self._start(plan, team)

    async def close(self) -> None:
        """Let what runs come to its end within the grace, then cancel it."""
        tasks = {shared.task for shared in self._running.values()}
        if tasks:
            await asyncio.wait(tasks, timeout=self._grace_seconds)
        for export_id, shared in list(self._running.items()):
            self._abandon(export_id, shared)
        # Those too that were left before, or came to their end: what they clean up and tell comes last.
        await asyncio.gather(*self._unfinished, return_exceptions=True)

    def follow(self, work: Coroutine[Any, Any, _DoneT]) -> "asyncio.Task[_DoneT]":
        """A task that the service waits for when it stops."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    def find(self, export_id: str) -> Shared | None:
        """The running export of that id, or None."""
        return self._running.get(export_id)

    async def wait(self, plan: ExportPlan, shared: Shared, gone: Callable[[], Awaitable[None]]) -> Export:
        """Wait for the end of a running export, or until the caller is gone."""
        shared.waiting += 1
        leaving = asyncio.ensure_future(gone())
        try:
            await asyncio.wait({shared.task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            self.leave(plan.export_id, shared)
        if shared.task.done() and not shared.task.cancelled():
            return shared.task.result()
        raise Cancelled("The export was cancelled.")

    def _start(self, plan: ExportPlan, team: str) -> Shared:
        shared = self._running[plan.export_id] = Shared(Turn(team))
        shared.task = self.follow(self._run(plan, team, shared))
        shared.task.add_done_callback(lambda _: self._ended(plan, team, shared))
        return shared

    async def _run(self, plan: ExportPlan, team: str, shared: Shared) -> Export:
        cancel, progress = shared.cancel, shared.progress
        async with self._admission.enter(shared.turn):
            shared.admitted = time.monotonic()
            progress.phase = Phase.RUNNING
            metrics.RUNNING.inc()
            late = asyncio.get_running_loop().call_later(self._deadline_seconds, cancel.cancel)
            try:
                with working("export") as span:
                    # Another replica may have made it while this one waited in the queue.
                    looked = shared.admitted - shared.asked < _LOOKED_SECONDS
                    export = partial(self._exporter.export, plan, cancel, progress, looked=looked)
                    made = await anyio.to_thread.run_sync(export, limiter=self._threads)
                    span.tell(_facts(plan, team, shared))
                    return made
            except Cancelled as error:
                if asyncio.get_running_loop().time() < late.when():
                    raise
                raise LimitExceeded(
                    f"The export takes longer than the {self._deadline_seconds} s that one may take: "
                    "narrow it by filters."
                ) from error
            finally:
                late.cancel()
                metrics.RUNNING.dec()

    def leave(self, export_id: str, shared: Shared) -> None:
        """One who waited no longer does; the last one ends the export."""
        shared.waiting -= 1
        if not shared.waiting and not shared.task.done():
            self._abandon(export_id, shared)

    def _abandon(self, export_id: str, shared: Shared) -> None:
        """Nobody waits any more: whoever asks again begins anew."""
        self._forget(export_id, shared)
        shared.cancel.cancel()
        if shared.progress.phase is Phase.QUEUED:
            # In the queue there is no statement to interrupt.
            shared.task.cancel()

    def _forget(self, export_id: str, shared: Shared) -> None:
        if self._running.get(export_id) is shared:
            del self._running[export_id]

    def _ended(self, plan: ExportPlan, team: str, shared: Shared) -> None:
        self._forget(plan.export_id, shared)
        format_name = plan.request.format.name
        # Whoever waits raises the error; if nobody does, asking for it here says that it is no surprise.
        error = Cancelled("") if shared.task.cancelled() else shared.task.exception()
        outcome = "done" if error is None else getattr(error, "code", "busy" if isinstance(error, Busy) else "internal")
        metrics.EXPORTS.labels(format_name, outcome).inc()
        metrics.ROWS.labels(format_name).inc(shared.progress.rows)
        metrics.BYTES.labels(format_name).inc(shared.progress.bytes)
        # Whoever asked may be gone, or have joined later: an export has a line of its own.
        tell("export", {**shared.asker, **_facts(plan, team, shared), "outcome": outcome})


def _facts(plan: ExportPlan, team: str, shared: Shared) -> dict[str, object]:
    now = time.monotonic()
    admitted = now if shared.admitted is None else shared.admitted
    return {
        "team": team,
        "workflow_id": plan.run.workflow_id,
        "run": plan.run.run_id,
        "export_id": plan.export_id,
        "format": plan.request.format.name,
        "rows": shared.progress.rows,
        "bytes": shared.progress.bytes,
        "queued": round(admitted - shared.asked, 4),
        "running": round(now - admitted, 4),
    }
