"""How the files that DuckDB writes for single ranges become one file."""

from typing import Protocol

from engine.plan import ExportPlan

_OPEN, _CLOSE = b"[\n\t", b"\n]\n"


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
        """Nothing: a CSV line and a Parquet footer end themselves."""
        return b""

    def end(self) -> bytes:
        """Nothing more."""
        return b""


class ArrayFrame:
    """JSON arrays of ranges become one array: inner brackets go, commas come.

    DuckDB writes ``[\\n\\t{...},\\n\\t{...}\\n]\\n``, and ``[\\n\\t\\n]\\n`` for no rows, which becomes ``[]``.
    """

    def __init__(self) -> None:
        self._any = False
        self._pending = b""
        self._started = False

    def content(self, data: bytes) -> bytes:
        """The rows in these bytes, less what could be the end of the array."""
        data = self._pending + data
        if not self._started:
            if len(data) <= len(_OPEN) + len(_CLOSE):
                self._pending = data
                return b""
            self._started = True
            lead = b",\n\t" if self._any else _OPEN
            self._any = True
            data = lead + data[len(_OPEN) :]
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
        return b"\n]" if self._any else b"[]"


def frame_of(plan: ExportPlan) -> Frame:
    """The frame of a plan's format."""
    if plan.request.format.name == "json":
        return ArrayFrame()
    return PlainFrame("\ufeff".encode() if plan.request.csv.bom else b"")
