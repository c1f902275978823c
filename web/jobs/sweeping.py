"""The service's own sweeps, on a thread that neither the event loop nor a shutdown waits for."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from engine.exports.exporter import Exporter
from engine.exports.sweep import Sweeper
from engine.settings import DuckDBSettings
from web.telemetry.logs import LOG, tell


class Sweeping:
    """Sweeps about every ``seconds``, or never if that is 0.

    Several processes may sweep one store: each removal is a compare-and-swap. Intervals vary by half, so that replicas
    which start together do not list the store together.
    """

    def __init__(self, exporter: Exporter, duckdb: DuckDBSettings, seconds: float) -> None:
        self._exporter = exporter
        self._spill = duckdb.spill_directory
        self._seconds = seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sweep within. A sweep that is under way at the end is left to itself: it can be cut off at any point."""
        over = threading.Event()
        if self._seconds:
            threading.Thread(target=self._run, args=(over,), name="sweep", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def sweep(self) -> None:
        """Sweep once, and log what was removed. Nothing is raised: the next sweep tries again."""
        sweeper = Sweeper(self._exporter.results, self._exporter.exports, self._spill, now=datetime.now(UTC))
        try:
            swept = sweeper.sweep()
        except Exception as error:  # noqa: BLE001  # of a store or a disk; the service goes on
            LOG.warning("sweep failed", exc_info=error)
            return
        if swept.removed or swept.damaged:
            removed = {kind.replace(" ", "_"): count for kind, count in swept.removed.items()}
            tell("sweep", {**removed, "bytes": swept.bytes, "kept": swept.remaining, "damaged": len(swept.damaged)})

    def _run(self, over: threading.Event) -> None:
        while not over.wait(self._seconds * random.uniform(0.5, 1.5)):  # noqa: S311  # no secret
            self.sweep()
