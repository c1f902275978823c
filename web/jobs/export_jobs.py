"""The export jobs of this process: equal requests share one job.

A caller either waits for the result, or gets a status document that every process can read (`engine.exports.status`).
In the second case the job continues after the caller has disconnected. In the first it is then abandoned: it goes on
for a while, since clients and proxies give up on long requests and ask again, but it makes way for jobs that somebody
wants.
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
from engine.errors import (
    Cancelled,
    ClusterUnavailable,
    EngineError,
    LimitExceeded,
    SourceDamaged,
    StoreError,
    StoreUnavailable,
)
from engine.exports.export import Export
from engine.exports.exporter import Exporter
from engine.exports.status import ExportStatus, ExportStatusStore
from engine.plan.planner import ExportPlan
from engine.query.sandbox import ChildCrashed
from web.jobs.admission import Admission, ServiceOverloaded, Waiter
from web.jobs.export_job import ExportJob, finished_status, new_nonce
from web.settings import AdmissionSettings
from web.telemetry import metrics
from web.telemetry.logs import LOG, log_event, log_failure
from web.telemetry.tracing import working

_FRESH_SECONDS = 1.0
"""How long a look-up that found no file counts. If a file is made meanwhile, the export is merely made twice."""
_REPORT_INTERVAL_SECONDS = 1.0
_MAX_RETRY_SECONDS = 5.0
_FAULTS = frozenset(
    kind.code for kind in (EngineError, SourceDamaged, StoreError, StoreUnavailable, ClusterUnavailable)
)
"""Outcomes that are the fault of the service, or of what it depends on: the log has their stack."""
_ResultT = TypeVar("_ResultT")


class ExportJobs:
    """Belongs to one event loop."""

    def __init__(
        self, exporter: Exporter, statuses: ExportStatusStore, admission: Admission, settings: AdmissionSettings
    ) -> None:
        self._exporter = exporter
        self._statuses = statuses
        self._admission = admission
        self._deadline_seconds = settings.export_timeout_seconds
        self._grace_seconds = settings.shutdown_grace_seconds
        self._abandoned_seconds = settings.abandoned_seconds
        # A dedicated thread limiter, so that exports cannot starve authentication.
        self._threads = anyio.CapacityLimiter(settings.max_concurrent_exports)
        self._jobs: dict[str, ExportJob] = {}
        self._unfinished: set[asyncio.Task[Any]] = set()
        # By nonce, those whose status document has not its last state yet.
        self._reported: dict[str, ExportJob] = {}
        self._closing = asyncio.Event()

    async def export(
        self,
        plan: ExportPlan,
        team: str,
        disconnected: Callable[[], Awaitable[None]],
        *,
        known_missing: bool = False,
    ) -> Export:
        """Return the export of a plan: an existing file, the result of a running job, or of a new one.

        ``known_missing`` skips the look for a file if the caller has just done that. ``disconnected`` returns when the
        caller has disconnected, which raises Cancelled. Raises ServiceOverloaded if the queue is full, or the error of
        the export.
        """
        job = self.find(plan.export_id)
        if job is None:
            finished = None if known_missing else await anyio.to_thread.run_sync(self._exporter.finished, plan)
            if finished is not None:
                return finished
            job = self.join(plan, team)
        return await self._wait(job, disconnected)

    async def export_async(
        self, plan: ExportPlan, team: str, disconnected: Callable[[], Awaitable[None]], wait_seconds: float
    ) -> Export | ExportStatus:
        """Return the export if it finishes within ``wait_seconds``, else its status; the job then continues.

        Raises ServiceOverloaded if the queue is full, the error of an export that fails within ``wait_seconds``, or
        Cancelled if the caller disconnects.
        """
        finished = await anyio.to_thread.run_sync(self._exporter.finished, plan)
        if finished is not None:
            return finished if wait_seconds else await anyio.to_thread.run_sync(self._finished, plan, finished)
        document, job = await self._issue(plan, team)
        with self._counted(job):
            if job.reporter is None:
                self._reported[job.nonce] = job
                job.reporter = self._follow(self._report(job))
            if wait_seconds:
                with suppress(TimeoutError):
                    return await asyncio.wait_for(self._wait(job, disconnected), wait_seconds)
            if not job.status_held:
                job.status_held = True
                self._want(job)
        # Give the job one iteration of the loop, so that a full queue is reported now and not by the status.
        await asyncio.sleep(0)
        if job.task.done() and isinstance(job.error, ServiceOverloaded):
            raise job.error
        return document

    def cancel(self, document: ExportStatus) -> None:
        """Cancel on behalf of a status document, if its job runs here; other processes read the request from it."""
        job = self.find(document.export_id)
        if job is not None and job.nonce == document.nonce:
            self._release_status(job)

    def find(self, export_id: str) -> ExportJob | None:
        """Return the job of an export, or None."""
        return self._jobs.get(export_id)

    def state(self, nonce: str) -> dict[str, object] | None:
        """Return the members of the status document of a job of this process, if it has still to be written."""
        job = self._reported.get(nonce)
        if job is None:
            return None
        return job.final_status() if job.task.done() else job.status(self._admission.queue_position(job.waiter))

    async def close(self) -> None:
        """Wait for running jobs within the grace period, then cancel them; abandoned ones are cancelled at once."""
        for job in self._abandoned_jobs():
            self._cancel(job)
        tasks = {job.task for job in self._jobs.values()}
        if tasks:
            await asyncio.wait(tasks, timeout=self._grace_seconds)
        for job in list(self._jobs.values()):
            self._cancel(job)
        self._closing.set()
        # Includes jobs that ended or were cancelled before: they still clean up and write their final status.
        await asyncio.gather(*self._unfinished, return_exceptions=True)

    async def _wait(self, job: ExportJob, disconnected: Callable[[], Awaitable[None]]) -> Export:
        """Wait until the job has ended or the caller has disconnected."""
        with self._counted(job):
            disconnect = asyncio.ensure_future(disconnected())
            try:
                await asyncio.wait({job.task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                disconnect.cancel()
        if job.task.done() and not job.task.cancelled():
            return job.task.result()
        raise Cancelled("The export was cancelled.")

    def join(self, plan: ExportPlan, team: str, nonce: str | None = None) -> ExportJob:
        """Return the job of a plan, or start one. The caller has checked that there is no finished export."""
        job = self.find(plan.export_id)
        if job is None:
            self._make_way(team)
            job = self._jobs[plan.export_id] = ExportJob(plan, team, nonce or new_nonce())
            job.task = self._follow(self._run(job))
            job.task.add_done_callback(lambda _: self._on_end(job))
        return job

    async def _run(self, job: ExportJob) -> Export:
        async with self._admission.acquire(job.waiter):
            job.admitted_at = time.monotonic()
            job.progress.phase = Phase.RUNNING
            metrics.RUNNING.inc()
            timeout = asyncio.get_running_loop().call_later(self._deadline_seconds, job.cancel.cancel)
            try:
                with working("export") as span:
                    # While this job was queued, another replica may have made the file.
                    looked = job.admitted_at - job.requested_at < _FRESH_SECONDS
                    export = partial(self._exporter.export, job.plan, job.cancel, job.progress, known_missing=looked)
                    made = await anyio.to_thread.run_sync(export, limiter=self._threads)
                    span.set_attributes(job.log_fields())
                    return made
            except Cancelled as error:
                if asyncio.get_running_loop().time() < timeout.when():
                    raise
                raise LimitExceeded(
                    f"The export exceeded the time limit of {self._deadline_seconds} seconds: narrow it with filters."
                ) from error
            finally:
                timeout.cancel()
                metrics.RUNNING.dec()

    @contextmanager
    def _counted(self, job: ExportJob) -> Iterator[None]:
        """Count a caller as waiting; when the last one leaves, the job is abandoned."""
        self._want(job)
        try:
            yield
        finally:
            self._leave(job)

    def _want(self, job: ExportJob) -> None:
        job.waiting += 1
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None

    def _leave(self, job: ExportJob) -> None:
        job.waiting -= 1
        if not job.is_unwanted:
            return
        wanted = (other.waiter for other in self._jobs.values() if other.waiting)
        if not self._abandoned_seconds or any(self._admission.needs_slot(waiter, job.waiter) for waiter in wanted):
            self._cancel(job)
        else:
            job.timer = asyncio.get_running_loop().call_later(self._abandoned_seconds, self._cancel, job)

    def _abandoned_jobs(self) -> list[ExportJob]:
        """The jobs that nobody wants, the oldest first."""
        return [job for job in self._jobs.values() if job.timer is not None and job.is_unwanted]

    def _make_way(self, team: str) -> None:
        """Cancel the abandoned jobs whose slot and whose place in the queue a new job of the team needs."""
        for needs in (self._admission.needs_slot, self._admission.needs_place):
            newcomer = Waiter(team)
            job = next((one for one in self._abandoned_jobs() if needs(newcomer, one.waiter)), None)
            if job is not None:
                self._cancel(job)

    def _release_status(self, job: ExportJob) -> None:
        """End the wait for a status document on request; the job is not abandoned then, but cancelled."""
        if job.status_held:
            job.status_held = False
            job.waiting -= 1
            if job.is_unwanted:
                self._cancel(job)

    def _cancel(self, job: ExportJob) -> None:
        """Cancel a job; the next equal request starts a new one."""
        self._remove(job)
        job.cancel.cancel()
        if job.progress.phase is Phase.QUEUED:
            # A queued job has no statement to interrupt.
            job.task.cancel()

    def _remove(self, job: ExportJob) -> None:
        if self._jobs.get(job.plan.export_id) is job:
            del self._jobs[job.plan.export_id]

    def _on_end(self, job: ExportJob) -> None:
        self._remove(job)
        # This also marks the error as retrieved, which asyncio requires when no caller waits.
        outcome, format_name = job.outcome, job.plan.request.format.name
        metrics.EXPORTS.labels(format_name, outcome).inc()
        metrics.ROWS.labels(format_name).inc(job.progress.rows)
        metrics.BYTES.labels(format_name).inc(job.progress.bytes)
        if job.reporter is not None:
            metrics.ASYNC_SECONDS.labels(outcome).observe(time.monotonic() - job.requested_at)
        if isinstance(job.error, ChildCrashed):
            metrics.CRASHES.labels(job.error.signal.name).inc()
        log_event("export", {**job.requested_by, **job.log_fields(), "outcome": outcome})
        if isinstance(job.error, Exception) and outcome in _FAULTS:
            # Nobody may be waiting for an answer, with which it would be logged.
            log_failure(job.error, str(job.requested_by.get("requestId", "")))

    def _follow(self, work: Coroutine[Any, Any, _ResultT]) -> "asyncio.Task[_ResultT]":
        """Start a task that `close` waits for."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    async def _issue(self, plan: ExportPlan, team: str) -> tuple[ExportStatus, ExportJob]:
        """Return a status document, and the job that writes it."""
        while True:
            job, nonce = self.find(plan.export_id), new_nonce()
            document = await anyio.to_thread.run_sync(self._statuses.issue, plan, job.nonce if job else nonce)
            # Otherwise a job ended or started while the document was written.
            if self.find(plan.export_id) is job:
                return document, job or self.join(plan, team, nonce)

    def _finished(self, plan: ExportPlan, export: Export) -> ExportStatus:
        nonce = new_nonce()
        self._statuses.issue(plan, nonce)
        return self._statuses.report(plan, nonce, finished_status(export), wanted=True)

    async def _report(self, job: ExportJob) -> None:
        """Write the status document while the job runs, and end the wait if the document asks for that."""
        while not job.task.done():
            with suppress(EngineError):
                # A store that is briefly unavailable must not end the export.
                document = await self._write(job, job.status(self._admission.queue_position(job.waiter)))
                if document.cancel_requested:
                    self._release_status(job)
            await asyncio.wait({job.task}, timeout=_REPORT_INTERVAL_SECONDS)
        try:
            await self._write_last(job)
        finally:
            del self._reported[job.nonce]

    async def _write_last(self, job: ExportJob) -> None:
        """Write how the job ended, as soon as the store takes it, or once more when the service stops."""
        pause = _REPORT_INTERVAL_SECONDS
        while True:
            last_attempt = self._closing.is_set()
            try:
                await self._write(job, job.final_status())
            except EngineError as error:
                if last_attempt:
                    LOG.warning("status not written: %s", job.plan.export_id, exc_info=error)
                    return
            else:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause)
            pause = min(2 * pause, _MAX_RETRY_SECONDS)

    async def _write(self, job: ExportJob, status: dict[str, object]) -> ExportStatus:
        report = partial(self._statuses.report, job.plan, job.nonce, status, wanted=not job.cancel.cancelled)
        return await anyio.to_thread.run_sync(report)
