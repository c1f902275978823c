"""A request to stop, seen by everyone who works for one export."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

import duckdb

from engine.errors import Cancelled


class CancelToken:
    """Set once, from any thread; running statements of watched connections are interrupted."""

    def __init__(self, message: str = "The export was cancelled.") -> None:
        self._message = message
        self._lock = Lock()
        self._cancelled = False
        self._stops: list[Callable[[], object]] = []

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Ask everyone to stop."""
        with self._lock:
            self._cancelled = True
            for stop in self._stops:
                stop()

    @contextmanager
    def watching(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Interrupt that connection too. Raises Cancelled if it is too late to begin."""
        with self.calling(connection.interrupt):
            yield

    @contextmanager
    def calling(self, stop: Callable[[], object]) -> Iterator[None]:
        """Call that too. Raises Cancelled if it is too late to begin."""
        with self._lock:
            self.raise_if_cancelled()
            self._stops.append(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if `cancel` was called."""
        if self._cancelled:
            raise Cancelled(self._message)


_CURRENT: ContextVar[CancelToken | None] = ContextVar("current_cancel_token", default=None)


@contextmanager
def cancelled_by(token: CancelToken) -> Iterator[None]:
    """Let `checkpoint` in this thread raise Cancelled once the token is cancelled."""
    before = _CURRENT.set(token)
    try:
        yield
    finally:
        _CURRENT.reset(before)


def checkpoint() -> None:
    """Raise Cancelled if the work of this thread was cancelled: loops that read a file call it for each piece."""
    token = _CURRENT.get()
    if token is not None:
        token.raise_if_cancelled()
