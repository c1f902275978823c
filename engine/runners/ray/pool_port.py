"""The pool port: the few words that a driver needs of a cluster engine.

Two adapters: Ray (`engine.runners.ray.ray_pool`), and threads of one process for tests and simulations.
"""

from collections.abc import Sequence
from typing import Protocol

from engine.runners.ray.messages import Job, Task

Ticket = object
"""One result of a submitted task, before and after it is there; opaque, and usable as an input of another task."""


class Session(Protocol):
    """The tasks of one export. Raises ClusterUnavailable where the engine gave up; its own retries come before that."""

    slots: int
    """Tasks that the cluster runs at once."""

    most: int | None
    """Tasks that the export may have queued or running, if there is a limit."""

    def submit(self, task: Task, inputs: Sequence[Ticket] = ()) -> list[Ticket]:
        """Queue a task, which gets the results of ``inputs``; returns a ticket for each of its results."""

    def ready(self, tickets: Sequence[Ticket], seconds: float) -> list[Ticket]:
        """Those whose results are there, waiting at most so long for one of them."""

    def check(self) -> None:
        """Raise ClusterUnavailable if nothing in the cluster can run a task any more."""

    def result(self, ticket: Ticket) -> object:
        """What is there for a ticket that is ready. The cluster keeps it until the ticket is dropped."""

    def cancel(self, tickets: Sequence[Ticket]) -> None:
        """Stop what runs and drop what waits. Returns at once, and never raises."""


class Pool(Protocol):
    """A cluster."""

    def session(self, job: Job) -> Session:
        """Begin the tasks of one export. Raises ClusterUnavailable."""


def at_once(session: Session) -> int:
    """Tasks of the export that run at once: one, where nothing can run yet."""
    slots = max(1, session.slots)
    return slots if session.most is None else min(slots, session.most)
