"""How the files that DuckDB writes for single ranges become one file."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from engine.common.chunk import Chunk
from engine.parquet.footer_merge import MAGIC, TAIL_BYTES, FooterJoin
from engine.plan.planner import ExportPlan

OPEN, _CLOSE = b"[\n\t", b"\n]\n"


NEXT = b",\n\t"
"""What parts a row of a JSON array from the one before; as long as what opens the array."""


def array_end(*, any_rows: bool) -> bytes:
    """The end of a JSON array, which is all of it if it has no rows."""
    return b"\n]" if any_rows else b"[]"


class Frame(Protocol):
    """Called in order of the ranges: bytes of a range, its end, and the end of all. Returns what goes into the file.

    Bytes are passed on as views of what DuckDB wrote: Python's lock is held while any of them are copied.
    """

    def content(self, data: Chunk) -> Iterable[Chunk]:
        """Bytes of the current range."""

    def end_of_range(self) -> Iterable[Chunk]:
        """The current range is over."""

    def end(self) -> Iterable[Chunk]:
        """All ranges are over."""


class PlainFrame:
    """Ranges follow each other as they are; ``head`` goes before the first."""

    def __init__(self, head: bytes = b"") -> None:
        self._head = head

    def content(self, data: Chunk) -> Iterable[Chunk]:
        """The bytes as they are."""
        head, self._head = self._head, b""
        return (head, data)

    def end_of_range(self) -> Iterable[Chunk]:
        """Nothing: lines end themselves, and a single Parquet file is whole."""
        return ()

    def end(self) -> Iterable[Chunk]:
        """Nothing more."""
        return ()


class ArrayFrame:
    """JSON arrays of ranges become one array: inner brackets go, commas come.

    DuckDB writes ``[\\n\\t{...},\\n\\t{...}\\n]\\n``, and ``[\\n\\t\\n]\\n`` for no rows, which becomes ``[]``.
    A piece of an array begins as if rows came before unless it is the ``first``; it is closed if it is the ``last``.
    """

    def __init__(self, *, first: bool = True, last: bool = True) -> None:
        self._any = not first
        self._last = last
        self._held: Chunk = b""
        self._started = False

    def content(self, data: Chunk) -> Iterable[Chunk]:
        """The bytes before these, which may have the end of the array."""
        if self._started and len(data) > len(_CLOSE):
            held, self._held = self._held, data
            return (held,)
        # The beginning of a range, or very few bytes.
        self._held = bytes(self._held) + bytes(data)
        if self._started or len(self._held) <= len(OPEN) + len(_CLOSE):
            return ()
        self._started = True
        lead = NEXT if self._any else OPEN
        self._any = True
        self._held = memoryview(self._held)[len(OPEN) :]
        return (lead,)

    def end_of_range(self) -> Iterable[Chunk]:
        """The last rows of the range, whose closing bracket is dropped."""
        rows, started = memoryview(self._held), self._started
        if rows[-len(_CLOSE) :] != _CLOSE:
            raise AssertionError("DuckDB's JSON array does not end as expected")
        self._held, self._started = b"", False
        return (rows[: -len(_CLOSE)],) if started else ()

    def end(self) -> Iterable[Chunk]:
        """The one closing bracket."""
        return (array_end(any_rows=self._any),) if self._last else ()


class ParquetFrame:
    """Parquet files of ranges become one file: their row groups follow each other, their footers become one."""

    def __init__(self, *, first: bool = True, last: bool = True) -> None:
        self._join = FooterJoin()
        self._pending: list[Chunk] = []
        self._head = MAGIC if first else b""
        self._last = last
        self.footers: list[bytes] = []
        """Of the ranges so far, as DuckDB wrote them."""

    def content(self, data: Chunk) -> Iterable[Chunk]:
        """Nothing yet: only a file's end tells where its row groups are."""
        self._pending.append(data)
        return ()

    def end_of_range(self) -> Iterable[Chunk]:
        """The row groups of the range."""
        file, self._pending = self._pending, []
        end = sum(map(len, file)) - TAIL_BYTES
        length = int.from_bytes(b"".join(_cut(file, end, 4)), "little")
        self.footers.append(b"".join(_cut(file, end - length, length)))
        head, self._head = self._head, b""
        yield head
        for span in self._join.add(self.footers[-1]):
            yield from _cut(file, span.start, span.length)

    def end(self) -> Iterable[Chunk]:
        """The footer."""
        return (self._join.footer(),) if self._last else ()


def _cut(chunks: Iterable[Chunk], start: int, length: int) -> Iterator[Chunk]:
    """``length`` bytes from ``start`` on of what the chunks are together."""
    for chunk in chunks:
        if length <= 0:
            return
        if start < len(chunk):
            taken = chunk[start : start + length]
            yield taken
            length -= len(taken)
        start = max(0, start - len(chunk))


def frame_of(plan: ExportPlan) -> Frame:
    """The frame of a plan's format."""
    match plan.request.format.name:
        case "json":
            return ArrayFrame()
        case "parquet" if len(plan.ranges) > 1:
            return ParquetFrame()
    return PlainFrame("\ufeff".encode() if plan.request.csv.bom else b"")
