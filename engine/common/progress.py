"""The progress of an export, written by its workers and read by its callers."""

from enum import StrEnum
from threading import Lock


class Phase(StrEnum):
    """The phases of an asynchronous export, in order; the last three are terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Progress:
    """The rows of the finished ranges, and the bytes of the file so far."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.phase = Phase.QUEUED
        self.rows = 0
        self.bytes = 0

    def add_rows(self, rows: int) -> None:
        """Add rows, from any thread; a negative number removes those of a range that is written again."""
        with self._lock:
            self.rows += rows

    def add_bytes(self, size: int) -> None:
        """Add bytes, from one thread at a time."""
        self.bytes += size
