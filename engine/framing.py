"""How the files that DuckDB writes for single ranges become one file."""

from typing import Protocol

from engine.plan import ExportPlan
from engine.row_groups import MAGIC, TAIL_BYTES, FooterJoin

OPEN, _CLOSE = b"[\n\t", b"\n]\n"


NEXT = b",\n\t"
"""What parts a row of a JSON array from the one before; as long as what opens the array."""


def array_end(*, any_rows: bool) -> bytes:
    """The end of a JSON array, which is all of it if it has no rows."""
    return b"\n]" if any_rows else b"[]"


class Frame(Protocol):
    """Called in order of the ranges: bytes of a range, its end, and the end of all. Returns what goes into the file."""

    def content(self, data: bytes) -> bytes:
        """Bytes of the current range."""

    def end_of_range(self) -> bytes:
        """The current range is over."""

    def end(self) -> bytes:
        """All ranges are over."""


class PlainFrame:
    """Ranges follow each other as they are; ``head`` goes before the first."""

    def __init__(self, head: bytes = b"") -> None:
        self._head = head

    def content(self, data: bytes) -> bytes:
        """The bytes as they are."""
        head, self._head = self._head, b""
        return head + data if head else data

    def end_of_range(self) -> bytes:
        """Nothing: lines end themselves, and a single Parquet file is whole."""
        return b""

    def end(self) -> bytes:
        """Nothing more."""
        return b""


class ArrayFrame:
    """JSON arrays of ranges become one array: inner brackets go, commas come.

    DuckDB writes ``[\\n\\t{...},\\n\\t{...}\\n]\\n``, and ``[\\n\\t\\n]\\n`` for no rows, which becomes ``[]``.
    A piece of an array begins as if rows came before unless it is the ``first``; it is closed if it is the ``last``.
    """

    def __init__(self, *, first: bool = True, last: bool = True) -> None:
        self._any = not first
        self._last = last
        self._pending = b""
        self._started = False

    def content(self, data: bytes) -> bytes:
        """The rows in these bytes, less what could be the end of the array."""
        data = self._pending + data
        if not self._started:
            if len(data) <= len(OPEN) + len(_CLOSE):
                self._pending = data
                return b""
            self._started = True
            lead = NEXT if self._any else OPEN
            self._any = True
            data = lead + data[len(OPEN) :]
        self._pending = data[-len(_CLOSE) :]
        return data[: -len(_CLOSE)]

    def end_of_range(self) -> bytes:
        """Nothing: the range's closing bracket is dropped."""
        if not self._pending.endswith(_CLOSE):
            raise AssertionError("DuckDB's JSON array does not end as expected")
        self._pending, self._started = b"", False
        return b""

    def end(self) -> bytes:
        """The one closing bracket."""
        return array_end(any_rows=self._any) if self._last else b""


class ParquetFrame:
    """Parquet files of ranges become one file: their row groups follow each other, their footers become one."""

    def __init__(self, *, first: bool = True, last: bool = True) -> None:
        self._join = FooterJoin()
        self._pending = bytearray()
        self._head = MAGIC if first else b""
        self._last = last
        self.footers: list[bytes] = []
        """Of the ranges so far, as DuckDB wrote them."""

    def content(self, data: bytes) -> bytes:
        """Nothing yet: only a file's end tells where its row groups are."""
        self._pending += data
        return b""

    def end_of_range(self) -> bytes:
        """The row groups of the range."""
        file = self._pending
        end = len(file) - TAIL_BYTES
        length = int.from_bytes(file[end : end + 4], "little")
        self.footers.append(bytes(file[end - length : end]))
        spans = list(self._join.add(self.footers[-1]))
        head, self._head, self._pending = self._head, b"", bytearray()
        return head + b"".join(file[span.start : span.start + span.length] for span in spans)

    def end(self) -> bytes:
        """The footer."""
        return self._join.footer() if self._last else b""


def frame_of(plan: ExportPlan) -> Frame:
    """The frame of a plan's format."""
    match plan.request.format.name:
        case "json":
            return ArrayFrame()
        case "parquet" if len(plan.ranges) > 1:
            return ParquetFrame()
    return PlainFrame("\ufeff".encode() if plan.request.csv.bom else b"")
