"""The rows of the views as files that DuckDB opens when a statement reads them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from threading import Lock
from typing import Self

from engine.errors import StoreError
from engine.execute.filesystems import ReadOnlyFileSystem
from engine.query.inspect.snapshot import Snapshot

CATALOG = "catalog"

_FILES = 32
"""The rows of a kind are in so many files, since DuckDB parses up to 2,048 rows of a file at once: 2,000 rows with the
bounds of 14 columns took 35 MB in one file, and 13 MB and a third of the time in 20."""


class CatalogFileSystem(ReadOnlyFileSystem):
    """``catalog://{kind}`` is some files of the rows of that kind in a snapshot, one JSON object a line.

    Their number is always the same, so that nothing is read before a statement runs.
    """

    protocol = CATALOG

    def __init__(self, snapshot: Snapshot, kinds: frozenset[str]) -> None:
        super().__init__(datetime.now(UTC))
        self._snapshot = snapshot
        self._kinds = kinds
        self._lines: dict[str, _Lines] = {}
        # DuckDB opens several files at once.
        self._lock = Lock()
        self.failure: StoreError | None = None
        """Why a read failed: DuckDB reports only the text of an error."""

    def glob(self, path: str, **_: object) -> list[str]:
        """The files of a kind, whose names are in the order of their rows, as DuckDB reads them."""
        return [f"{path}/{number:02}" for number in range(_FILES)]

    def isfile(self, path: str) -> bool:
        """Whether there are rows of that kind."""
        return path.partition("://")[2].partition("/")[0] in self._kinds

    def size(self, path: str) -> int:
        """Size in bytes."""
        start, end = self._range(path)[1:]
        return end - start

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Read bytes of the lines."""
        content, first, end = self._range(path)
        return bytes(content[first + start : min(first + start + length, end)])

    def forget(self) -> None:
        """Read the rows again when they are next needed."""
        self._lines.clear()
        self._snapshot.forget()

    def _range(self, path: str) -> tuple[bytearray, int, int]:
        """The lines of the file's kind, and where those of the file begin and end."""
        kind, _, number = path.partition("://")[2].partition("/")
        if kind not in self._kinds:
            raise FileNotFoundError("there is no such file")
        with self._lock:
            if kind not in self._lines:
                try:
                    self._lines[kind] = _Lines.of(self._snapshot.lines(kind))
                except StoreError as error:
                    self.failure = error
                    raise
            lines = self._lines[kind]
        return lines.content, *lines.ranges[int(number)]


@dataclass(frozen=True, slots=True)
class _Lines:
    """All lines of a kind, and the ranges of bytes of each file."""

    content: bytearray
    ranges: list[tuple[int, int]]

    @classmethod
    def of(cls, lines: Iterable[str]) -> Self:
        content = bytearray()
        for line in lines:
            content += b"%b\n" % line.encode()
        inner = [content.rfind(b"\n", 0, len(content) * number // _FILES) + 1 for number in range(1, _FILES)]
        return cls(content, [*pairwise([0, *inner, len(content)])])
