"""A task pool of threads of this process: a driver without a cluster engine."""

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from engine.runners.ray.messages import Job, Task
from engine.runners.ray.worker import run_task


class ThreadPool:
    """A pool of ``slots`` threads. ``runs`` is the function that a cluster would run."""

    def __init__(self, slots: int = 2, runs: Callable[..., object] = run_task) -> None:
        self.slots = slots
        self._runs = runs
        self.threads = ThreadPoolExecutor(slots, thread_name_prefix="pool")
        self.submitted = 0

    def session(self, job: Job) -> "ThreadSession":
        """The tasks of one export; the job goes through a pickle, as it would to another process."""
        return ThreadSession(self, pickle.loads(pickle.dumps(job)))

    def run(self, job: Job, task: Task, inputs: Sequence[Any]) -> list[object]:
        """Run one task, with the results of others as inputs."""
        values = [future.result()[index] for future, index in inputs]
        result = self._runs(job, pickle.loads(pickle.dumps(task)), *values)
        return [result] if task.returns == 1 else result  # type: ignore[return-value]


class ThreadSession:
    """A result reference is a future, and the index of the result."""

    def __init__(self, pool: ThreadPool, job: Job) -> None:
        self._pool = pool
        self._job = job
        self.slots = pool.slots
        self.max_tasks = job.max_tasks

    def submit(self, task: Task, inputs: Sequence[Any] = ()) -> list[Any]:
        """Queue a task."""
        self._pool.submitted += 1
        future = self._pool.threads.submit(self._pool.run, self._job, task, inputs)
        return [(future, index) for index in range(task.returns)]

    def ready(self, refs: Sequence[Any], seconds: float) -> list[Any]:
        """The results that are finished, or were cancelled."""
        futures: set[Future[list[object]]] = {future for future, _ in refs}
        done = wait(futures, seconds, FIRST_COMPLETED).done
        return [ref for ref in refs if ref[0] in done]

    def check(self) -> None:
        """Do nothing: threads are not lost."""

    def result(self, ref: Any) -> object:
        """The value."""
        future, index = ref
        return future.result()[index]

    def cancel(self, refs: Sequence[Any]) -> None:
        """Drop queued tasks; running ones continue."""
        for future, _ in refs:
            future.cancel()
