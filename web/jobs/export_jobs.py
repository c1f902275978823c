"""The exports that run in this process: equal requests share one job, which ends early when nobody waits for it.

A caller either waits for the answer, or is given a status document that any process can read (`engine.exports.status`);
such a job goes on when the caller has left.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from engine.common.progress import Phase
from engine.errors import Cancelled, EngineError, LimitExceeded
from engine.exports.export import Export
from engine.exports.exporter import Exporter
from engine.exports.status import Ticket, Tickets
from engine.plan.planner import ExportPlan
from web.jobs.admission import Admission, Busy
from web.jobs.export_job import ExportJob, finished_status, new_nonce
from web.settings import AdmissionSettings
from web.telemetry import metrics
from web.telemetry.logs import tell
from web.telemetry.tracing import working

_FRESH_SECONDS = 1.0
"""How long "there is no such file" is believed. If one was made since, the work is done twice, and nothing else."""
_REPORT_SECONDS = 1.0
_ResultT = TypeVar("_ResultT")


class ExportJobs:
    """Belongs to one event loop."""

    def __init__(self, exporter: Exporter, tickets: Tickets, admission: Admission, settings: AdmissionSettings) -> None:
        self._exporter = exporter
        self._tickets = tickets
        self._admission = admission
        self._deadline_seconds = settings.export_timeout_seconds
        self._grace_seconds = settings.shutdown_grace_seconds
        # A dedicated thread limiter, so that exports cannot starve authentication.
        self._threads = anyio.CapacityLimiter(settings.max_concurrent_exports)
        self._jobs: dict[str, ExportJob] = {}
        self._unfinished: set[asyncio.Task[Any]] = set()

    async def export(self, plan: ExportPlan, team: str, gone: Callable[[], Awaitable[None]]) -> Export:
        """The finished export of a plan: the file that is there, the one being made, or a new one.

        ``gone`` returns when the caller has disconnected. Raises Cancelled then, Busy if the queue is full, or what the
        export raised.
        """
        job = self.find(plan.export_id)
        if job is None:
            finished = await anyio.to_thread.run_sync(self._exporter.finished, plan)
            if finished is not None:
                return finished
            job = self.join(plan, team)
        return await self._wait(job, gone)

    async def export_async(
        self, plan: ExportPlan, team: str, gone: Callable[[], Awaitable[None]], wait_seconds: float
    ) -> Export | Ticket:
        """The export if it is finished within ``wait_seconds``, else its status; then it goes on without the caller.

        Raises Busy if the queue is full, what the export raised while the caller waited, or Cancelled if it left.
        """
        finished = await anyio.to_thread.run_sync(self._exporter.finished, plan)
        if finished is not None:
            return finished if wait_seconds else await anyio.to_thread.run_sync(self._finished, plan, finished)
        ticket, job = await self._issue(plan, team)
        with self._counted(job):
            if job.reporter is None:
                job.reporter = self._follow(self._report(job))
            if wait_seconds:
                with suppress(TimeoutError):
                    return await asyncio.wait_for(self._wait(job, gone), wait_seconds)
            if not job.status_held:
                job.status_held = True
                job.waiting += 1
        # A full queue is reported now, not by the status.
        await asyncio.sleep(0)
        if job.task.done() and isinstance(job.error, Busy):
            raise job.error
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """End the wait on behalf of a status of this process; other processes read the request in the document."""
        job = self.find(ticket.export_id)
        if job is not None and job.nonce == ticket.nonce:
            self._release_status(job)

    def find(self, export_id: str) -> ExportJob | None:
        """The job that makes that export, or None."""
        return self._jobs.get(export_id)

    async def close(self) -> None:
        """Let what runs come to its end within the grace, then cancel it."""
        tasks = {job.task for job in self._jobs.values()}
        if tasks:
            await asyncio.wait(tasks, timeout=self._grace_seconds)
        for job in list(self._jobs.values()):
            self._abandon(job)
        # Also those that were abandoned or came to their end before: they still clean up and write their last status.
        await asyncio.gather(*self._unfinished, return_exceptions=True)

    async def _wait(self, job: ExportJob, gone: Callable[[], Awaitable[None]]) -> Export:
        """Wait for the end of a job, or until the caller has disconnected."""
        with self._counted(job):
            leaving = asyncio.ensure_future(gone())
            try:
                await asyncio.wait({job.task, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
        if job.task.done() and not job.task.cancelled():
            return job.task.result()
        raise Cancelled("The export was cancelled.")

    def join(self, plan: ExportPlan, team: str, nonce: str | None = None) -> ExportJob:
        """The job of that plan, or a new one; the caller has looked for a finished export."""
        job = self.find(plan.export_id)
        if job is None:
            job = self._jobs[plan.export_id] = ExportJob(plan, team, nonce or new_nonce())
            job.task = self._follow(self._run(job))
            job.task.add_done_callback(lambda _: self._ended(job))
        return job

    async def _run(self, job: ExportJob) -> Export:
        async with self._admission.enter(job.turn):
            job.admitted_at = time.monotonic()
            job.progress.phase = Phase.RUNNING
            metrics.RUNNING.inc()
            timeout = asyncio.get_running_loop().call_later(self._deadline_seconds, job.cancel.cancel)
            try:
                with working("export") as span:
                    # Another replica may have made the file while this job waited in the queue.
                    looked = job.admitted_at - job.requested_at < _FRESH_SECONDS
                    export = partial(self._exporter.export, job.plan, job.cancel, job.progress, looked=looked)
                    made = await anyio.to_thread.run_sync(export, limiter=self._threads)
                    span.tell(job.log_fields())
                    return made
            except Cancelled as error:
                if asyncio.get_running_loop().time() < timeout.when():
                    raise
                raise LimitExceeded(
                    f"The export takes longer than the limit of {self._deadline_seconds} s: narrow it by filters."
                ) from error
            finally:
                timeout.cancel()
                metrics.RUNNING.dec()

    @contextmanager
    def _counted(self, job: ExportJob) -> Iterator[None]:
        """Count a caller as waiting; the last one who leaves ends the job."""
        job.waiting += 1
        try:
            yield
        finally:
            self._leave(job)

    def _leave(self, job: ExportJob) -> None:
        job.waiting -= 1
        if not job.waiting and not job.task.done():
            self._abandon(job)

    def _release_status(self, job: ExportJob) -> None:
        if job.status_held:
            job.status_held = False
            self._leave(job)

    def _abandon(self, job: ExportJob) -> None:
        """Cancel a job for which nobody waits; the next equal request begins a new one."""
        self._forget(job)
        job.cancel.cancel()
        if job.progress.phase is Phase.QUEUED:
            # In the queue there is no statement to interrupt.
            job.task.cancel()

    def _forget(self, job: ExportJob) -> None:
        if self._jobs.get(job.plan.export_id) is job:
            del self._jobs[job.plan.export_id]

    def _ended(self, job: ExportJob) -> None:
        self._forget(job)
        # Asking for the error here marks it as retrieved, for the case that nobody waits.
        outcome, format_name = job.outcome, job.plan.request.format.name
        metrics.EXPORTS.labels(format_name, outcome).inc()
        metrics.ROWS.labels(format_name).inc(job.progress.rows)
        metrics.BYTES.labels(format_name).inc(job.progress.bytes)
        tell("export", {**job.requested_by, **job.log_fields(), "outcome": outcome})

    def _follow(self, work: Coroutine[Any, Any, _ResultT]) -> "asyncio.Task[_ResultT]":
        """A task that `close` waits for."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    async def _issue(self, plan: ExportPlan, team: str) -> tuple[Ticket, ExportJob]:
        """A status document, and the job that writes it."""
        while True:
            job, nonce = self.find(plan.export_id), new_nonce()
            ticket = await anyio.to_thread.run_sync(self._tickets.issue, plan, job.nonce if job else nonce)
            # Otherwise one has ended meanwhile, or another has begun.
            if self.find(plan.export_id) is job:
                return ticket, job or self.join(plan, team, nonce)

    def _finished(self, plan: ExportPlan, export: Export) -> Ticket:
        nonce = new_nonce()
        self._tickets.issue(plan, nonce)
        return self._tickets.report(plan, nonce, finished_status(export), wanted=True)

    async def _report(self, job: ExportJob) -> None:
        """Write the status document while the job runs, and end the wait if the document asks for that."""
        while not job.task.done():
            with suppress(EngineError):
                # A store that is unavailable for a moment ends no export.
                ticket = await self._write(job, job.status(self._admission.place(job.turn)))
                if ticket.cancel_requested:
                    self._release_status(job)
            await asyncio.wait({job.task}, timeout=_REPORT_SECONDS)
        with suppress(EngineError):
            await self._write(job, job.final_status())

    async def _write(self, job: ExportJob, status: dict[str, object]) -> Ticket:
        report = partial(self._tickets.report, job.plan, job.nonce, status, wanted=not job.cancel.cancelled)
        return await anyio.to_thread.run_sync(report)
