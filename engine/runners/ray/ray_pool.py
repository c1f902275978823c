"""A Ray cluster as a task pool: Ray does placement, retries and lost nodes, and stores results in its object store.

Ray ends a process whose cluster is gone, so only the driver process (`engine.runners.ray.driver`) uses this module.
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
from engine.execute.spill_limit import OUT_OF_MEMORY
from engine.runners.ray.messages import Job, Task
from engine.runners.ray.pool_port import ResultRef
from engine.runners.ray.worker import run_task

_CONNECT_TIMEOUT_SECONDS = 5
_MAX_RETRIES = 3
"""For tasks whose process or node was lost. What a task raised is final, as it is on one machine."""


class RayPool:
    """The cluster at ``host:port``. This host has to run one of its nodes; the process connects once."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = Lock()
        # Ray warns every driver that connects from a thread that it handles no signals.
        logging.getLogger("ray").setLevel(logging.ERROR)
        self._run_task = ray.remote(run_task)

    def session(self, job: Job) -> "RaySession":
        """Connect, and share the job with all tasks. Raises ClusterUnavailable."""
        try:
            # Ray itself tries for half a minute, and then blames the versions.
            host, _, port = self._address.rpartition(":")
            socket.create_connection((host, int(port)), _CONNECT_TIMEOUT_SECONDS).close()
            with self._lock:
                if not ray.is_initialized():
                    ray.init(self._address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
            slots = _slots()
        except (RayError, OSError, RuntimeError, ValueError) as error:
            raise ClusterUnavailable(
                "The Ray cluster is unreachable: check RAY_ADDRESS, that this host runs one of its nodes (ray start "
                "--address=...), and that versions and RAY_AUTH_MODE are the same everywhere."
            ) from error
        _check(slots)
        return RaySession(self._run_task, ray.put(job), slots, job.max_tasks)


class RaySession:
    """Result references are Ray's ObjectRefs: Ray stores the objects, or recreates them, while references exist."""

    def __init__(self, run_task: Any, job: Any, slots: int, max_tasks: int | None) -> None:
        self._run_task = run_task
        self._job = job
        self.slots = slots
        self.max_tasks = max_tasks

    def submit(self, task: Task, inputs: Sequence[ResultRef] = ()) -> list[ResultRef]:
        """Queue a task on any node."""
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": _MAX_RETRIES, "scheduling_strategy": "SPREAD"}
        remote = self._run_task.options(num_returns=task.returns, name=type(task).__name__, **options).remote
        with _translated():
            refs = remote(self._job, task, *inputs)
        return [refs] if task.returns == 1 else list(refs)

    def ready(self, refs: Sequence[ResultRef], seconds: float) -> list[ResultRef]:
        """The results that are finished; Ray starts to transfer them to this node."""
        if not refs:
            return []
        waiting: list[Any] = list(refs)
        with _translated():
            done, _ = ray.wait(waiting, num_returns=1, timeout=seconds)
            if done and len(waiting) > 1:
                done, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return list(done)

    def check(self) -> None:
        """Raise ClusterUnavailable if no node has a CPU."""
        with _translated():
            _check(_slots())

    def result(self, ref: ResultRef) -> object:
        """The value; its buffers stay in the object store while it lives."""
        ray_ref: Any = ref
        with _translated():
            return ray.get(ray_ref)

    def cancel(self, refs: Sequence[ResultRef]) -> None:
        """Interrupt the tasks; a task notices within a second."""
        ray_refs: list[Any] = list(refs)
        for ref in ray_refs:
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
    try:
        yield
    except OutOfMemoryError as error:
        raise LimitExceeded(OUT_OF_MEMORY) from error
    except TaskCancelledError as error:
        raise Cancelled("The export was cancelled.") from error
    except RayTaskError as error:
        raise ClusterUnavailable(
            "A node of the cluster cannot run tasks: install the same version of tailrace on every node."
        ) from error
    except RayError as error:
        raise ClusterUnavailable("The cluster lost a task, and all retries failed.") from error
