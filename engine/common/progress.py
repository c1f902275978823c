"""How far an export is: written by those who work for it, read by those who wait."""

from enum import StrEnum
from threading import Lock


class Phase(StrEnum):
    """What becomes of an asynchronous export, in order; the last three are for good."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Progress:
    """Rows that were written by ranges which have ended, and bytes of the file so far."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.phase = Phase.QUEUED
        self.rows = 0
        self.bytes = 0

    def add_rows(self, rows: int) -> None:
        """More rows were written, by any thread; a number below 0 takes back what is written anew."""
        with self._lock:
            self.rows += rows

    def add_bytes(self, size: int) -> None:
        """More bytes of the file are there; from one thread at a time."""
        self.bytes += size
