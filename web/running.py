"""Exports that run in this process: equal requests share one, and it ends early only when nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio.to_thread

from engine.cancel import CancelToken
from engine.errors import Cancelled
from engine.exporter import Exporter
from engine.exports import Export
from engine.plan import ExportPlan
from web.admission import Admission


@dataclass
class _Shared:
    """One running export. Nobody's leaving cancels it for the others."""

    task: "asyncio.Task[Export]"
    cancel: CancelToken
    waiting: int = field(default=0)


class RunningExports:
    """Belongs to one event loop."""

    def __init__(self, exporter: Exporter, admission: Admission) -> None:
        self._exporter = exporter
        self._admission = admission
        self._running: dict[str, _Shared] = {}

    async def export(self, plan: ExportPlan, gone: Callable[[], Awaitable[None]]) -> Export:
        """The finished export of a plan: the object that is there, the one being made, or a new one.

        What ``gone`` gives ends when the caller no longer wants it. Raises Cancelled then, Busy if the queue is full,
        or what the export raised.
        """
        finished = await anyio.to_thread.run_sync(self._exporter.finished, plan)
        if finished is not None:
            return finished
        shared = self._running.get(plan.export_id) or self._start(plan)
        shared.waiting += 1
        leaving = asyncio.ensure_future(gone())
        try:
            await asyncio.wait({shared.task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            shared.waiting -= 1
            if not shared.waiting and not shared.task.done():
                self._abandon(plan.export_id, shared)
        if shared.task.done() and not shared.task.cancelled():
            return shared.task.result()
        raise Cancelled("The export was cancelled.")

    def _start(self, plan: ExportPlan) -> _Shared:
        cancel = CancelToken()
        shared = _Shared(asyncio.create_task(self._run(plan, cancel)), cancel)
        self._running[plan.export_id] = shared
        shared.task.add_done_callback(lambda _: self._forget(plan.export_id, shared))
        return shared

    async def _run(self, plan: ExportPlan, cancel: CancelToken) -> Export:
        async with self._admission.enter():
            return await anyio.to_thread.run_sync(self._exporter.export, plan, cancel)

    def _abandon(self, export_id: str, shared: _Shared) -> None:
        """Nobody waits any more: whoever asks again begins anew."""
        self._forget(export_id, shared)
        shared.cancel.cancel()
        # In the queue there is no statement to interrupt.
        shared.task.cancel()

    def _forget(self, export_id: str, shared: _Shared) -> None:
        if self._running.get(export_id) is shared:
            del self._running[export_id]
        if shared.task.done() and not shared.task.cancelled():
            # Whoever waits raises it; if nobody does, it is no surprise.
            shared.task.exception()
