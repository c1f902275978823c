"""One export job of this process: its state, and what status documents and logs report about it."""

import asyncio
import time
import uuid
from dataclasses import dataclass, field

from engine.common.cancellation import CancelToken
from engine.common.progress import Phase, Progress
from engine.errors import Cancelled, EngineError
from engine.exports.export import Export
from engine.plan.planner import ExportPlan
from web.jobs.admission import ServiceOverloaded, Waiter
from web.telemetry.log_context import caller_fields


def new_nonce() -> str:
    """Return a random id that distinguishes an export job from other jobs for the same file."""
    return uuid.uuid4().hex


@dataclass(eq=False)
class ExportJob:
    """One export, from the queue to its end. Only `ExportJobs` changes its state.

    ``waiting`` callers want it. Each caller that waits for the result counts as one; all callers that were given the
    status resource count as one together. A job that nobody wants is abandoned, and cancelled after some time.
    """

    plan: ExportPlan
    team: str
    nonce: str = field(default_factory=new_nonce)
    waiter: Waiter = field(init=False)
    cancel: CancelToken = field(default_factory=CancelToken)
    progress: Progress = field(default_factory=Progress)
    task: "asyncio.Task[Export]" = field(init=False)
    reporter: "asyncio.Task[None] | None" = None
    """Writes the status document; started by the first asynchronous request."""
    waiting: int = 0
    status_held: bool = False
    timer: asyncio.TimerHandle | None = None
    """Cancels an abandoned job after some time; None for one that has a caller, or has had none yet."""
    requested_at: float = field(default_factory=time.monotonic)
    admitted_at: float | None = None
    requested_by: dict[str, object] = field(default_factory=caller_fields)
    """Log fields of the first caller; others may have joined."""

    def __post_init__(self) -> None:
        self.waiter = Waiter(self.team)

    @property
    def is_unwanted(self) -> bool:
        """Whether it goes on although nobody waits for it now."""
        return not self.waiting and not self.task.done()

    @property
    def error(self) -> BaseException | None:
        """The error of a job that has ended; None if it has a result."""
        return Cancelled("The export was cancelled.") if self.task.cancelled() else self.task.exception()

    @property
    def outcome(self) -> str:
        """How the job ended: ``done``, or the code of its error."""
        error = self.error
        if error is None:
            return "done"
        if isinstance(error, ServiceOverloaded):
            return "busy"
        return error.code if isinstance(error, EngineError) else EngineError.code

    def status(self, queue_position: int | None) -> dict[str, object]:
        """The members of the status document while the job runs."""
        progress = self.progress
        return {
            "phase": progress.phase,
            "rows": progress.rows,
            "bytes": progress.bytes,
            "queue_place": queue_position,
            "code": None,
            "message": None,
        }

    def final_status(self) -> dict[str, object]:
        """The members of the status document of a job that has ended."""
        error = self.error
        if error is None:
            return finished_status(self.task.result())
        if isinstance(error, Cancelled):
            return {"phase": Phase.CANCELLED, "queue_place": None}
        message = "The service failed to make the export."
        if isinstance(error, ServiceOverloaded):
            message = str(error)
        elif isinstance(error, EngineError):
            message = error.message
        return {"phase": Phase.FAILED, "queue_place": None, "code": self.outcome, "message": message}

    def log_fields(self) -> dict[str, object]:
        """The log fields of the export; times are in seconds."""
        now = time.monotonic()
        admitted_at = now if self.admitted_at is None else self.admitted_at
        return {
            "team": self.team,
            "workflow_id": self.plan.run.workflow_id,
            "run": self.plan.run.run_id,
            "export_id": self.plan.export_id,
            "format": self.plan.request.format.name,
            "rows": self.progress.rows,
            "bytes": self.progress.bytes,
            "queued": round(admitted_at - self.requested_at, 4),
            "running": round(now - admitted_at, 4),
        }


def finished_status(export: Export) -> dict[str, object]:
    """The members of the status document of a finished export."""
    return {"phase": Phase.DONE, "rows": export.rows, "bytes": export.size, "queue_place": None}
