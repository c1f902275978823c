"""DuckDB instances that are open ahead: opening one takes longer than the rest of a small export.

What is open ahead is nobody's: it has no file system, no path and no limit of a session yet. A session takes it for
itself and retires it, so that no instance is ever used by two.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Lock, Thread

import duckdb

_LATER_SECONDS = 0.03
"""While one is ready, whoever was just served gets the processors first: for the rest of a small export."""


class Spares:
    """At most ``most`` instances that are open ahead, while someone keeps them; else none, and each is made when taken.

    Belongs to one process: a fork begins without any. Safe to use from many threads.
    """

    def __init__(self, make: Callable[[], duckdb.DuckDBPyConnection], *, most: int) -> None:
        self._make = make
        self.most = most
        self._left_alone: list[list[duckdb.DuckDBPyConnection]] = []
        self._begin()
        os.register_at_fork(after_in_child=self._begin_after_fork)

    def _begin(self) -> None:
        self._keeping, self._changed = Lock(), Condition()
        self._ready: list[duckdb.DuckDBPyConnection] = []
        self._retired: list[duckdb.DuckDBPyConnection] = []
        self._filler: Thread | None = None
        self._keepers = 0
        self._over, self._lacking = True, False

    @property
    def ready(self) -> int:
        """How many are open now."""
        return len(self._ready)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Have instances open ahead until the end, made by a thread of its own; the last to leave closes the rest."""
        with self._keeping:
            self._keepers += 1
            if self._filler is None:
                self._over, self._lacking = False, True
                self._filler = Thread(target=self._fill, name="spares", daemon=True)
                self._filler.start()
        try:
            yield
        finally:
            self._leave()

    def take(self) -> duckdb.DuckDBPyConnection:
        """An instance for the caller alone, who retires it."""
        with self._changed:
            if self._ready:
                self._changed.notify_all()
                return self._ready.pop()
        return self._make()

    def retire(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Close what was taken, beside whoever goes on, and have another made in its place."""
        with self._changed:
            if not self._over:
                self._retired.append(connection)
                self._lacking = len(self._ready) < self.most
                self._changed.notify_all()
                return
        connection.close()

    def _fill(self) -> None:
        # Nothing is retired here once it is over.
        while not self._over or self._retired:
            with self._changed:
                self._changed.wait_for(lambda: self._over or self._retired or self._lacking)
                self._changed.wait_for(lambda: self._over or self._retired or not self._ready, _LATER_SECONDS)
                retired, self._retired = self._retired, []
                making = self._lacking and not retired and not self._over
            while retired:
                # Whatever its session was about goes with it. Nothing ends this thread, who alone closes the next ones.
                with suppress(Exception):
                    retired.pop().close()
            if making:
                self._add_one()

    def _add_one(self) -> None:
        try:
            made = [self._make()]
        except Exception:  # noqa: BLE001  # whoever needs one is told when it cannot be made
            made = []
        with self._changed:
            self._ready += made
            self._lacking = bool(made) and len(self._ready) < self.most

    def _leave(self) -> None:
        with self._keeping:
            self._keepers -= 1
            if self._keepers or self._filler is None:
                return
            with self._changed:
                self._over = True
                self._changed.notify_all()
            self._filler.join()
            self._filler = None
            while self._ready:
                self._ready.pop().close()

    def _begin_after_fork(self) -> None:
        # The parent's are neither used nor closed here: their locks are as some thread of the parent held them.
        self._left_alone += self._ready, self._retired
        self._begin()
