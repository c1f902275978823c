"""DuckDB instances opened in advance: opening one takes longer than the rest of a small export."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread

import duckdb

POOL_SIZE = 2
_REFILL_DELAY_SECONDS = 0.03
"""While an instance is ready, the rest of the export that released one gets the processors first."""


class InstancePool:
    """Keeps up to ``size`` instances ready while it is `running`; at other times `acquire` opens one.

    Nobody gets a released instance, since its limits are locked: it is closed. Safe to use from many threads of one
    process.
    """

    def __init__(self, open_instance: Callable[[], duckdb.DuckDBPyConnection], *, size: int = POOL_SIZE) -> None:
        self._open_instance = open_instance
        self.size = size
        self._ready: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        self._released: SimpleQueue[duckdb.DuckDBPyConnection | None] = SimpleQueue()
        self._lock = Lock()
        self._stopped = Event()
        self._stopped.set()
        self._at_end: list[Callable[[], None]] = []

    @property
    def ready(self) -> int:
        """Number of instances that are ready."""
        return self._ready.qsize()

    @property
    def is_running(self) -> bool:
        """Whether released instances are replaced."""
        return not self._stopped.is_set()

    def at_end(self, call: Callable[[], None]) -> None:
        """Call a function whenever the pool stops running."""
        self._at_end.append(call)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Open and close instances in one background thread. At the end, close those that are ready. Not reentrant."""
        self._stopped.clear()
        thread = Thread(target=self._refill_after_release, name="instances", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._stopped.set()
                self._released.put(None)
            for call in self._at_end:
                call()
            thread.join()
            while self.ready:
                self._ready.get().close()

    def acquire(self) -> duckdb.DuckDBPyConnection:
        """Take a ready instance, or open one. Raises what opening it raises."""
        try:
            return self._ready.get_nowait()
        except Empty:
            return self._open_instance()

    def release(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Have an acquired instance closed in the background, and replaced."""
        with self._lock:
            if not self._stopped.is_set():
                self._released.put(connection)
                return
        connection.close()

    def _refill_after_release(self) -> None:
        self._refill()
        while (connection := self._released.get()) is not None:
            with suppress(duckdb.Error):
                connection.close()
            # Its file systems hold the last blocks of an export.
            del connection
            if self._released.empty():
                if self.ready:
                    self._stopped.wait(_REFILL_DELAY_SECONDS)
                self._refill()

    def _refill(self) -> None:
        # An error is raised by the `acquire` that has to open an instance, and opening is retried after a release.
        with suppress(Exception):
            while self.ready < self.size and not self._stopped.is_set():
                self._ready.put(self._open_instance())
