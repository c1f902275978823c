"""A Ray cluster as a pool: placement, retries and lost nodes are Ray's, and so is the memory that results wait in.

Ray ends a process whose cluster is gone, so this runs in the driver's own process (`engine.runners.ray.driver`) only.
"""

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, TaskCancelledError

from engine.errors import Cancelled, ClusterUnavailable, LimitExceeded
from engine.execute.spill_limit import TOO_LARGE
from engine.runners.ray.messages import Job, Task
from engine.runners.ray.pool_port import Ticket
from engine.runners.ray.worker import work

_CONNECT_SECONDS = 5
_RETRIES = 3
"""For tasks whose process or node was lost; what a task raised itself is final, as it is on one machine."""


class RayPool:
    """The cluster at ``host:port``. This process connects once; this host has to be one of its nodes."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = Lock()
        # It tells every driver that connects in a thread that it takes no signals.
        logging.getLogger("ray").setLevel(logging.ERROR)
        self._work = ray.remote(work)

    def session(self, job: Job) -> "RaySession":
        """Connect and share the job. Raises ClusterUnavailable."""
        try:
            # Ray itself looks for half a minute, and then tells of versions.
            host, _, port = self._address.rpartition(":")
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
            with self._lock:
                if not ray.is_initialized():
                    ray.init(self._address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
            slots = _slots()
        except (RayError, OSError, RuntimeError, ValueError) as error:
            raise ClusterUnavailable(
                "The Ray cluster cannot be reached: check RAY_ADDRESS, that this host runs a node of it (ray start "
                "--address=...), and that versions and RAY_AUTH_MODE are the same on all."
            ) from error
        _check(slots)
        return RaySession(self._work, ray.put(job), slots, job.tasks_at_once)


class RaySession:
    """Tickets are references to objects of the cluster, which keeps them, or makes them again, while they are held."""

    def __init__(self, run: Any, job: Any, slots: int, most: int | None) -> None:
        self._work = run
        self._job = job
        self.slots = slots
        self.most = most

    def submit(self, task: Task, inputs: Sequence[Ticket] = ()) -> list[Ticket]:
        """Queue a task on whichever node."""
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": _RETRIES, "scheduling_strategy": "SPREAD"}
        remote = self._work.options(num_returns=task.returns, name=type(task).__name__, **options).remote
        with _translated():
            found = remote(self._job, task, *inputs)
        return [found] if task.returns == 1 else list(found)

    def ready(self, tickets: Sequence[Ticket], seconds: float) -> list[Ticket]:
        """Those that are there; their values begin to move to this node."""
        if not tickets:
            return []
        refs: list[Any] = list(tickets)
        with _translated():
            done, _ = ray.wait(refs, num_returns=1, timeout=seconds)
            if done and len(refs) > 1:
                done, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        return list(done)

    def check(self) -> None:
        """Whether any node has a CPU."""
        with _translated():
            _check(_slots())

    def result(self, ticket: Ticket) -> object:
        """The value; its buffers lie in the cluster's memory while it lives."""
        ref: Any = ticket
        with _translated():
            return ray.get(ref)

    def cancel(self, tickets: Sequence[Ticket]) -> None:
        """Interrupt what runs: a task notices within a second."""
        refs: list[Any] = list(tickets)
        for ref in refs:
            try:
                ray.cancel(ref, force=False)
            except (RayError, ValueError, TypeError):
                continue


def _slots() -> int:
    return int(ray.cluster_resources().get("CPU", 0))


def _check(slots: int) -> None:
    if not slots:
        raise ClusterUnavailable("The Ray cluster has no node that runs tasks: add one with CPUs.")


@contextmanager
def _translated() -> Iterator[None]:
    """What Ray raises, in our terms."""
    try:
        yield
    except OutOfMemoryError as error:
        raise LimitExceeded(TOO_LARGE) from error
    except TaskCancelledError as error:
        raise Cancelled("The export was cancelled.") from error
    except RayTaskError as error:
        raise ClusterUnavailable(
            "A node of the cluster cannot run a task: install the same tailrace on every node."
        ) from error
    except RayError as error:
        raise ClusterUnavailable("The cluster lost a task for good, in spite of its retries.") from error
