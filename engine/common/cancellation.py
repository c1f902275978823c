"""Cooperative cancellation across the threads that work on one export or publish."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

import duckdb

from engine.errors import Cancelled


class CancelToken:
    """A flag that is set once, from any thread; setting it interrupts the statements of watched connections."""

    def __init__(self, message: str = "The export was cancelled.") -> None:
        self._message = message
        self._lock = Lock()
        self._cancelled = False
        self._callbacks: list[Callable[[], object]] = []

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Set the flag and call every registered callback; a second call calls them again."""
        with self._lock:
            self._cancelled = True
            for callback in self._callbacks:
                callback()

    @contextmanager
    def watching(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Let `cancel` interrupt the connection within the block. Raises Cancelled if it was called before."""
        with self.calling(connection.interrupt):
            yield

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Let `cancel` call ``callback`` within the block. Raises Cancelled if it was called before."""
        with self._lock:
            self.raise_if_cancelled()
            self._callbacks.append(callback)
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if `cancel` was called."""
        if self._cancelled:
            raise Cancelled(self._message)


_CURRENT: ContextVar[CancelToken | None] = ContextVar("current_cancel_token", default=None)


@contextmanager
def cancelled_by(token: CancelToken) -> Iterator[None]:
    """Let `checkpoint` in this thread, within the block, raise Cancelled once the token is cancelled."""
    before = _CURRENT.set(token)
    try:
        yield
    finally:
        _CURRENT.reset(before)


def checkpoint() -> None:
    """Raise Cancelled if the work of this thread was cancelled. Loops that read a file call it for each chunk."""
    token = _CURRENT.get()
    if token is not None:
        token.raise_if_cancelled()
