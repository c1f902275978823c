"""The task pool port: what a driver needs of a cluster engine.

Two adapters: Ray (`engine.runners.ray.ray_pool`), and threads of one process for tests and simulations.
"""

from collections.abc import Sequence
from typing import Protocol

from engine.runners.ray.messages import Job, Task

ResultRef = object
"""A reference to one result of a submitted task, finished or not; opaque, and usable as an input of another task."""


class TaskSession(Protocol):
    """The tasks of one export. Methods raise ClusterUnavailable once the engine's own retries have failed."""

    slots: int
    """Tasks that the cluster can run at the same time."""

    max_tasks: int | None
    """Tasks that the export may have queued or running; None means no limit."""

    def submit(self, task: Task, inputs: Sequence[ResultRef] = ()) -> list[ResultRef]:
        """Queue a task that gets the results of ``inputs``; returns a reference to each of its results."""

    def ready(self, refs: Sequence[ResultRef], seconds: float) -> list[ResultRef]:
        """Wait up to ``seconds`` for one of the results, and return the references of all that are finished."""

    def check(self) -> None:
        """Raise ClusterUnavailable if the cluster has no slot left."""

    def result(self, ref: ResultRef) -> object:
        """The value of a result that is ready. The cluster stores it for as long as a reference exists."""

    def cancel(self, refs: Sequence[ResultRef]) -> None:
        """Stop the tasks of these results, or remove them from the queue. Returns at once, and never raises."""


class TaskPool(Protocol):
    """A cluster."""

    def session(self, job: Job) -> TaskSession:
        """Start a session for the tasks of one export. Raises ClusterUnavailable."""


def max_running(session: TaskSession) -> int:
    """Tasks of the export that can run at the same time, at least one."""
    slots = max(1, session.slots)
    return slots if session.max_tasks is None else min(slots, session.max_tasks)
