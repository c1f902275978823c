"""Periodic sweeps in a daemon thread, which a shutdown does not wait for."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import ClockSkew
from engine.exports.exporter import Exporter
from engine.exports.sweep import sweep_stores
from engine.settings import DuckDBSettings
from web.telemetry.logs import LOG, log_event


class Sweeping:
    """Sweeps about every ``seconds``, or never if that is 0.

    Several processes may sweep one store, since every removal is a compare-and-swap. Intervals vary by 50 %, so that
    replicas which start together do not list the store together.
    """

    def __init__(self, exporter: Exporter, duckdb: DuckDBSettings, seconds: float) -> None:
        self._exporter = exporter
        self._spill = duckdb.spill_directory
        self._seconds = seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sweep while the block runs. A sweep under way at its end is not waited for: it may be killed at any point."""
        stopped = threading.Event()
        if self._seconds:
            threading.Thread(target=self._run, args=(stopped,), name="sweep", daemon=True).start()
        try:
            yield
        finally:
            stopped.set()

    def sweep(self) -> None:
        """Sweep once and log what was removed. Raises nothing: the next sweep tries again."""
        try:
            swept = sweep_stores(self._exporter.results, self._exporter.exports, self._spill)
        except ClockSkew as error:
            LOG.warning("sweep refused: %s Nothing was removed.", error.message)
            return
        except Exception as error:  # noqa: BLE001  # any error of a store or a disk; the service continues
            LOG.warning("sweep failed", exc_info=error)
            return
        if swept.removed or swept.damaged:
            removed = {kind.replace(" ", "_"): count for kind, count in swept.removed.items()}
            log_event(
                "sweep", {**removed, "bytes": swept.bytes, "kept": swept.remaining, "damaged": len(swept.damaged)}
            )

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(self._seconds * random.uniform(0.5, 1.5)):  # noqa: S311  # not a secret
            self.sweep()
