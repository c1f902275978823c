"""How far a publication is: written by the publisher, read by whoever draws it."""

from collections.abc import Callable, Iterator
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
        self._share: Callable[[], float] | None = None

    @property
    def bytes(self) -> int:
        """Bytes of the phase so far, from any thread."""
        share = self._share
        if share is None:
            return self._bytes
        try:
            return round(self.total * min(max(share(), 0.0), 1.0))
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
    def watching(
        self, connection: duckdb.DuckDBPyConnection, share: Callable[[], float] | None = None
    ) -> Iterator[None]:
        """The phase is one statement of that connection; ``share`` tells how far it is, or else DuckDB's estimate."""
        connection.execute("SET enable_progress_bar=true; SET enable_progress_bar_print=false")
        self._share = share or (lambda: connection.query_progress() / 100)
        try:
            yield
            self._bytes = self.total
        finally:
            self._share = None
