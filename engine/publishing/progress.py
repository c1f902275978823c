"""How far a publication is: written by the publisher, read by whoever draws it."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import duckdb


class PublishPhase(StrEnum):
    """What a publisher does, in order."""

    READING = "reading"
    UPLOADING = "uploading"


class PublishProgress:
    """The phase, and its bytes: of the files that are read, or of the parts that are uploaded."""

    def __init__(self) -> None:
        self.phase = PublishPhase.READING
        self.total = 0
        """Bytes of the whole phase."""
        self._bytes = 0
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def bytes(self) -> int:
        """Bytes of the phase so far; of files, DuckDB's own estimate, from any thread."""
        connection = self._connection
        if connection is None:
            return self._bytes
        try:
            return round(self.total * min(max(connection.query_progress(), 0.0), 100.0) / 100)
        except duckdb.Error:
            # The statement or the connection has just ended.
            return self._bytes

    def begin(self, phase: PublishPhase, total: int) -> None:
        """A phase begins."""
        self.phase, self.total, self._bytes = phase, total, 0

    def add_bytes(self, size: int) -> None:
        """More bytes are done."""
        self._bytes += size

    @contextmanager
    def watching(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """The phase is one statement of that connection."""
        connection.execute("SET enable_progress_bar=true; SET enable_progress_bar_print=false")
        self._connection = connection
        try:
            yield
            self._bytes = self.total
        finally:
            self._connection = None
