"""A pool of the cluster's port that is threads of this process: what a driver does, without an engine."""

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from engine.runners.ray.messages import Job, Task
from engine.runners.ray.worker import run_task


class ThreadPool:
    """Sessions of ``slots`` threads. ``runs`` stands for the function that a cluster would run."""

    def __init__(self, slots: int = 2, runs: Callable[..., object] = run_task) -> None:
        self.slots = slots
        self._runs = runs
        self.threads = ThreadPoolExecutor(slots, thread_name_prefix="pool")
        self.submitted = 0

    def session(self, job: Job) -> "ThreadSession":
        """The tasks of one export; the job goes through a pickle, as it would to another process."""
        return ThreadSession(self, pickle.loads(pickle.dumps(job)))

    def run(self, job: Job, task: Task, inputs: Sequence[Any]) -> list[object]:
        """One task, with the tickets of others in their results' place."""
        values = [number.result()[place] for number, place in inputs]
        result = self._runs(job, pickle.loads(pickle.dumps(task)), *values)
        return [result] if task.returns == 1 else result  # type: ignore[return-value]


class ThreadSession:
    """Tickets are a future and the place of a result in it."""

    def __init__(self, pool: ThreadPool, job: Job) -> None:
        self._pool = pool
        self._job = job
        self.slots = pool.slots
        self.max_tasks = job.max_tasks

    def submit(self, task: Task, inputs: Sequence[Any] = ()) -> list[Any]:
        """Queue a task."""
        self._pool.submitted += 1
        future = self._pool.threads.submit(self._pool.run, self._job, task, inputs)
        return [(future, place) for place in range(task.returns)]

    def ready(self, tickets: Sequence[Any], seconds: float) -> list[Any]:
        """Those that are done, or were dropped."""
        futures: set[Future[list[object]]] = {future for future, _ in tickets}
        done = wait(futures, seconds, FIRST_COMPLETED).done
        return [ticket for ticket in tickets if ticket[0] in done]

    def check(self) -> None:
        """Threads do not go away."""

    def result(self, ticket: Any) -> object:
        """What is there."""
        future, place = ticket
        return future.result()[place]

    def cancel(self, tickets: Sequence[Any]) -> None:
        """Drop what waits; what runs goes on, as a ghost."""
        for future, _ in tickets:
            future.cancel()
