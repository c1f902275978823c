"""Runs tasks ahead of the one whose result is awaited, within a bound, and runs stragglers a second time."""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from engine.common.cancellation import CancelToken
from engine.runners.ray.messages import Failure, Task
from engine.runners.ray.pool_port import ResultRef, TaskSession, max_running
from engine.runners.ray.worker import error_of

_POLL_INTERVAL_SECONDS = 0.2
_TASKS_PER_SLOT = 2
"""Tasks in the window for each slot, finished or not, besides the awaited one."""
STRAGGLER_SECONDS = 60.0
"""No task is a straggler earlier than this."""
_STRAGGLER_FACTOR = 4
"""A task that takes this many times the median is a straggler, if no task has finished for as long."""
_ASSUMED_MEDIAN_SECONDS = 150.0
"""Used as the median until a task has finished."""
_MAX_ATTEMPTS = 3


@dataclass(slots=True)
class _Entry:
    task: Task
    inputs: Sequence[ResultRef]
    attempts: list[Sequence[ResultRef]]
    """The results of each attempt; all results of an attempt are ready when the first of them is."""
    started: float = field(default_factory=time.monotonic)
    """When the latest attempt was submitted."""
    done: bool = False


class TaskWindow:
    """Results of tasks, in their order. Closing the generator cancels the tasks in progress."""

    def __init__(self, session: TaskSession, cancel: CancelToken) -> None:
        self._session = session
        self._cancel = cancel
        self._entries: deque[_Entry] = deque()
        self._durations: deque[float] = deque(maxlen=50)
        self._last_progress = time.monotonic()
        """When a task last finished, or was submitted again."""

    def results(
        self, tasks: Iterator[tuple[Task, Sequence[ResultRef]]]
    ) -> Generator[tuple[object, Sequence[ResultRef]], None, None]:
        """Run tasks with their inputs; yields the first result of each, and references to its other results.

        Raises what a task raised, ClusterUnavailable, or Cancelled.
        """
        try:
            while self._fill(tasks):
                yield self._first(tasks)
        finally:
            self._drop(attempt for entry in self._entries for attempt in entry.attempts)
            self._entries.clear()

    def _fill(self, tasks: Iterator[tuple[Task, Sequence[ResultRef]]]) -> bool:
        while len(self._entries) < _TASKS_PER_SLOT * max_running(self._session) + 1 and self._has_room():
            following = next(tasks, None)
            if following is None:
                break
            task, inputs = following
            self._entries.append(_Entry(task, inputs, [self._session.submit(task, inputs)]))
        return bool(self._entries)

    def _has_room(self) -> bool:
        # Without a limit, tasks queue ahead, so that a slot that becomes free never idles.
        limit = self._session.max_tasks
        return limit is None or sum(len(entry.attempts) for entry in self._unfinished()) < limit

    def _unfinished(self) -> list[_Entry]:
        return [entry for entry in self._entries if not entry.done]

    def _first(self, tasks: Iterator[tuple[Task, Sequence[ResultRef]]]) -> tuple[object, Sequence[ResultRef]]:
        front = self._entries[0]
        # Checked even if the result is ready: on a large cluster that may be so for minutes.
        self._cancel.raise_if_cancelled()
        while not front.done:
            entries = {id(attempt[0]): entry for entry in self._unfinished() for attempt in entry.attempts}
            refs = [attempt[0] for entry in self._unfinished() for attempt in entry.attempts]
            for ref in self._session.ready(refs, _POLL_INTERVAL_SECONDS):
                entry = entries[id(ref)]
                entry.done = True
                self._last_progress = time.monotonic()
                self._durations.append(self._last_progress - entry.started)
            self._fill(tasks)
            self._retry_stragglers()
            self._cancel.raise_if_cancelled()
        self._entries.popleft()
        finished = (attempt for attempt in front.attempts if self._session.ready(attempt[:1], 0))
        winner = next(finished, front.attempts[0])
        self._drop(attempt for attempt in front.attempts if attempt is not winner)
        result = self._session.result(winner[0])
        if isinstance(result, Failure):
            raise error_of(result)
        return result, winner[1:]

    def _retry_stragglers(self) -> None:
        """Submit late tasks once more, if no task has finished for long: they may run on a node that hangs."""
        now = time.monotonic()
        usual = median(self._durations) if self._durations else _ASSUMED_MEDIAN_SECONDS
        late = now - max(STRAGGLER_SECONDS, _STRAGGLER_FACTOR * usual)
        if self._last_progress > late:
            return
        self._session.check()
        # Tasks beyond the number of slots have hardly started.
        for entry in self._unfinished()[: self._session.slots]:
            if entry.started < late and len(entry.attempts) < _MAX_ATTEMPTS:
                entry.attempts.append(self._session.submit(entry.task, entry.inputs))
                entry.started = now
        self._last_progress = now

    def _drop(self, attempts: Iterable[Sequence[ResultRef]]) -> None:
        # The first result stands for the whole attempt.
        if refs := [attempt[0] for attempt in attempts]:
            self._session.cancel(refs)
