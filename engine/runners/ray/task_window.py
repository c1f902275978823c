"""Tasks in order under a bound: some ahead of the one that is awaited, and a twin for a straggler."""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from engine.common.cancellation import CancelToken
from engine.runners.ray.messages import Failure, Task
from engine.runners.ray.pool_port import Session, Ticket, at_once
from engine.runners.ray.worker import error_of

_LOOK_SECONDS = 0.2
_AHEAD = 2
"""Tasks that may be done or under way before the awaited one, by slot."""
STRAGGLER_SECONDS = 60.0
"""No task is one before."""
_LATE = 4
"""A task is a straggler after so many times the usual, if nothing has ended for as long."""
_UNKNOWN_SECONDS = 150.0
"""What is taken for the usual before any task has ended."""
_MOST_TRIES = 3


@dataclass(slots=True)
class _Entry:
    task: Task
    inputs: Sequence[Ticket]
    tries: list[Sequence[Ticket]]
    """The results of each run of it; they are there when the first of them is."""
    begun: float = field(default_factory=time.monotonic)
    """Of the last of them."""
    done: bool = False


class Window:
    """Results of tasks in their order. Closing it cancels what is under way."""

    def __init__(self, session: Session, cancel: CancelToken) -> None:
        self._session = session
        self._cancel = cancel
        self._entries: deque[_Entry] = deque()
        self._took: deque[float] = deque(maxlen=50)
        self._moved = time.monotonic()
        """When one ended last, or was given a twin."""

    def results(
        self, tasks: Iterator[tuple[Task, Sequence[Ticket]]]
    ) -> Generator[tuple[object, Sequence[Ticket]], None, None]:
        """Run tasks with their inputs; yields the first result of each, and tickets of its others.

        Raises what a task raised, ClusterUnavailable, or Cancelled.
        """
        try:
            while self._fill(tasks):
                yield self._first(tasks)
        finally:
            self._drop(one for entry in self._entries for one in entry.tries)
            self._entries.clear()

    def _fill(self, tasks: Iterator[tuple[Task, Sequence[Ticket]]]) -> bool:
        while len(self._entries) < _AHEAD * at_once(self._session) + 1 and self._has_room():
            found = next(tasks, None)
            if found is None:
                break
            task, inputs = found
            self._entries.append(_Entry(task, inputs, [self._session.submit(task, inputs)]))
        return bool(self._entries)

    def _has_room(self) -> bool:
        # Without a limit of its own, an export has tasks queued wherever a slot may be free next.
        most = self._session.most
        return most is None or sum(len(entry.tries) for entry in self._entries if not entry.done) < most

    def _first(self, tasks: Iterator[tuple[Task, Sequence[Ticket]]]) -> tuple[object, Sequence[Ticket]]:
        front = self._entries[0]
        # Also if nothing has to be waited for: on a large cluster that may be so for minutes.
        self._cancel.raise_if_cancelled()
        while not front.done:
            waiting = {id(one[0]): entry for entry in self._entries if not entry.done for one in entry.tries}
            tickets = [one[0] for entry in self._entries if not entry.done for one in entry.tries]
            for ticket in self._session.ready(tickets, _LOOK_SECONDS):
                entry = waiting[id(ticket)]
                entry.done = True
                self._moved = time.monotonic()
                self._took.append(self._moved - entry.begun)
            self._fill(tasks)
            self._help()
            self._cancel.raise_if_cancelled()
        self._entries.popleft()
        won = next((one for one in front.tries if self._session.ready(one[:1], 0)), front.tries[0])
        self._drop(one for one in front.tries if one is not won)
        result = self._session.result(won[0])
        if isinstance(result, Failure):
            raise error_of(result)
        return result, won[1:]

    def _help(self) -> None:
        """If nothing has ended for long, whoever is late may be on a machine that hangs."""
        now = time.monotonic()
        late = now - max(STRAGGLER_SECONDS, _LATE * (median(self._took) if self._took else _UNKNOWN_SECONDS))
        if self._moved > late:
            return
        self._session.check()
        # Those behind the first slots have hardly begun.
        for entry in [entry for entry in self._entries if not entry.done][: self._session.slots]:
            if entry.begun < late and len(entry.tries) < _MOST_TRIES:
                entry.tries.append(self._session.submit(entry.task, entry.inputs))
                entry.begun = now
        self._moved = now

    def _drop(self, tries: Iterable[Sequence[Ticket]]) -> None:
        # One ticket of a run stands for the whole of it.
        if found := [one[0] for one in tries]:
            self._session.cancel(found)
