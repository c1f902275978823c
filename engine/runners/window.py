"""Tasks in order under a bound: some ahead of the one that is awaited, and a twin for a straggler."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from engine.cancel import CancelToken
from engine.runners.job import Failure, Task
from engine.runners.pool import Session, Ticket
from engine.runners.work import error_of

_LOOK_SECONDS = 0.2
_AHEAD = 2
"""Tasks that may be done or under way before the awaited one, by slot."""
STRAGGLER_SECONDS = 60.0
"""No task is one before."""
_LATE = 4
"""A task is a straggler after so many times the usual, if nothing else is left to wait for."""


@dataclass(slots=True)
class _Entry:
    task: Task
    inputs: Sequence[Ticket]
    tries: list[Ticket]
    begun: float = field(default_factory=time.monotonic)
    done: bool = False


class Window:
    """Results of tasks in their order. Closing it cancels what is under way."""

    def __init__(self, session: Session, cancel: CancelToken) -> None:
        self._session = session
        self._cancel = cancel
        self._entries: deque[_Entry] = deque()
        self._took: deque[float] = deque(maxlen=50)

    def results(self, tasks: Iterator[tuple[Task, Sequence[Ticket]]]) -> Generator[object, None, None]:
        """Run tasks with their inputs; yields the one result of each.

        Raises what a task raised, ClusterUnavailable, or Cancelled.
        """
        try:
            while self._fill(tasks):
                yield self._first()
        finally:
            self._session.cancel([ticket for entry in self._entries for ticket in entry.tries])
            self._entries.clear()

    def _fill(self, tasks: Iterator[tuple[Task, Sequence[Ticket]]]) -> bool:
        while len(self._entries) < _AHEAD * max(1, self._session.slots) + 1:
            found = next(tasks, None)
            if found is None:
                break
            task, inputs = found
            self._entries.append(_Entry(task, inputs, self._session.submit(task, inputs)))
        return bool(self._entries)

    def _first(self) -> object:
        front = self._entries[0]
        while not front.done:
            self._cancel.raise_if_cancelled()
            waiting = {id(one): entry for entry in self._entries for one in entry.tries if not entry.done}
            ready = self._session.ready([one for e in self._entries if not e.done for one in e.tries], _LOOK_SECONDS)
            for one in ready:
                entry = waiting[id(one)]
                entry.done = True
                self._took.append(time.monotonic() - entry.begun)
            self._help(front)
        self._entries.popleft()
        won = next((one for one in front.tries if self._session.ready([one], 0)), front.tries[0])
        lost = [one for one in front.tries if one is not won]
        if lost:
            self._session.cancel(lost)
        result = self._session.result(won)
        if isinstance(result, Failure):
            raise error_of(result)
        return result

    def _help(self, front: _Entry) -> None:
        """Everything else is done: whoever is late may be on a machine that hangs."""
        if len(front.tries) > 1 or not self._took or any(not entry.done for entry in list(self._entries)[1:]):
            return
        if time.monotonic() - front.begun > max(STRAGGLER_SECONDS, _LATE * median(self._took)):
            front.tries += self._session.submit(front.task, front.inputs)


def gathered(
    session: Session, tickets: Sequence[Ticket], cancel: CancelToken, took: Callable[[], None] = lambda: None
) -> None:
    """Wait until all of them are there. Raises ClusterUnavailable or Cancelled; what runs then is cancelled."""
    left = list(tickets)
    try:
        while left:
            cancel.raise_if_cancelled()
            ready = {id(one) for one in session.ready(left, _LOOK_SECONDS)}
            for _ in ready:
                took()
            left = [one for one in left if id(one) not in ready]
    except BaseException:
        session.cancel(left)
        raise
