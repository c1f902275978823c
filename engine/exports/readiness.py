"""The readiness check: whether both stores and DuckDB respond, and the clocks agree."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Lock, Thread

import duckdb

from engine.exports.exporter import Exporter
from engine.stores.clock import require_same_time

MAX_RUNNING_CHECKS = 4
"""Checks of one dependency that run at the same time: those of a store that does not answer take half a minute."""

Check = Callable[[], object]


class Readiness:
    """Checks ``results``, ``exports`` and ``duckdb``, all at once. Thread-safe."""

    def __init__(self, exporter: Exporter) -> None:
        self._checks: dict[str, _Dependency] = {
            "results": _Dependency(partial(require_same_time, exporter.results.store, "results")),
            "exports": _Dependency(partial(require_same_time, exporter.exports, "exports")),
            "duckdb": _Dependency(_check_duckdb),
        }

    def start(self) -> "dict[str, Future[Exception | None]]":
        """Begin a check of each dependency. Its result is its error, or None if it responds.

        The error of a store may be a ClockSkew: it responds, but its clock and this machine's differ by over a minute.
        """
        return {name: dependency.start() for name, dependency in self._checks.items()}


class _Dependency:
    """One dependency, and its checks that run."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._lock = Lock()
        self._running: list[Future[Exception | None]] = []

    def start(self) -> "Future[Exception | None]":
        """Begin a check, unless too many run: then it is the one that began last."""
        with self._lock:
            self._running = [future for future in self._running if not future.done()]
            if len(self._running) == MAX_RUNNING_CHECKS:
                return self._running[-1]
            future: Future[Exception | None] = Future()
            self._running.append(future)
        # Not a thread of a pool, whose other work could delay it, and whose end the interpreter would wait for.
        Thread(target=self._run, args=(future,), name="readiness", daemon=True).start()
        return future

    def _run(self, future: "Future[Exception | None]") -> None:
        error: Exception | None = None
        try:
            self._check()
        except Exception as caught:  # noqa: BLE001  # whatever it is, the dependency does not work
            error = caught
        future.set_result(error)


def _check_duckdb() -> None:
    with duckdb.connect() as connection:
        connection.execute("SELECT 1")
