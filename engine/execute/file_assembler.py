"""How the files that DuckDB writes for single ranges become one file: one assembler for each format.

The same assembler works in three places: the whole file in this process, the part of it that one task of a cluster
encodes, and the file that the driver of a cluster puts together from such parts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from engine.common.chunk import Chunk
from engine.parquet.footer_merge import MAGIC, TAIL_BYTES, FooterJoin

BOM = "\ufeff".encode()

ARRAY_OPEN, _ARRAY_CLOSE = b"[\n\t", b"\n]\n"
ROW_SEPARATOR = b",\n\t"
"""Between two rows of a JSON array; as long as what opens the array, so that one can take the other's place."""


class FileAssembler:
    """Lines: ranges follow each other as they are, behind one ``head``. The base of the other formats.

    Its methods are called in the order of the ranges and return what goes into the file. Bytes are passed on as views
    of what DuckDB wrote, because Python's lock is held while any of them are copied.
    """

    def __init__(self, head: bytes = b"") -> None:
        self._head = head

    def feed(self, data: Chunk) -> Iterable[Chunk]:
        """Take the next bytes of the current range."""
        return (self._take_head(), data)

    def end_range(self) -> Iterable[Chunk]:
        """End the current range."""
        return ()

    def finish(self) -> Iterable[Chunk]:
        """End the file."""
        return ()

    def replace_head(self, _head_of_part: Callable[[int], bytes]) -> bytes | None:
        """Take a part that another assembler made, without the ``last`` one's end.

        ``head_of_part(n)`` gives the first ``n`` bytes of the part. Returns what has to stand in their place, or None.
        """
        return None

    @property
    def footers(self) -> Sequence[bytes]:
        """The Parquet footers of the ranges so far, as DuckDB wrote them."""
        return ()

    def add_footers(self, footers: Sequence[bytes]) -> None:
        """Take the footers of a part that another assembler made. Raises ValueError if the schemas differ."""

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head


class ArrayAssembler(FileAssembler):
    """JSON: the arrays of the ranges become one array.

    DuckDB writes ``[\\n\\t{...},\\n\\t{...}\\n]\\n``, and ``[\\n\\t\\n]\\n`` for no rows, which becomes ``[]``.
    A part that is not the ``first`` begins with a separator, as if rows came before; the ``last`` closes the array.
    """

    def __init__(self, *, first: bool = True, last: bool = True) -> None:
        super().__init__()
        self._any_rows = not first
        self._last = last
        self._pending: Chunk = b""
        self._range_started = False

    def feed(self, data: Chunk) -> Iterable[Chunk]:
        """Pass on the bytes before these, which may have the end of the array."""
        if self._range_started and len(data) > len(_ARRAY_CLOSE):
            pending, self._pending = self._pending, data
            return (pending,)
        # The beginning of a range, or very few bytes.
        self._pending = bytes(self._pending) + bytes(data)
        if self._range_started or len(self._pending) <= len(ARRAY_OPEN) + len(_ARRAY_CLOSE):
            return ()
        self._range_started = True
        lead = ROW_SEPARATOR if self._any_rows else ARRAY_OPEN
        self._any_rows = True
        self._pending = memoryview(self._pending)[len(ARRAY_OPEN) :]
        return (lead,)

    def end_range(self) -> Iterable[Chunk]:
        """Pass on the last rows of the range, without its closing bracket."""
        rows, started = memoryview(self._pending), self._range_started
        if rows[-len(_ARRAY_CLOSE) :] != _ARRAY_CLOSE:
            raise AssertionError("DuckDB's JSON array does not end as expected")
        self._pending, self._range_started = b"", False
        return (rows[: -len(_ARRAY_CLOSE)],) if started else ()

    def finish(self) -> Iterable[Chunk]:
        """The one closing bracket, or the whole of an array without rows."""
        if not self._last:
            return ()
        return (b"\n]" if self._any_rows else b"[]",)

    def replace_head(self, head_of_part: Callable[[int], bytes]) -> bytes | None:
        """The opening bracket in the place of the separator, if no row came before."""
        if self._any_rows:
            return None
        self._any_rows = True
        return ARRAY_OPEN if head_of_part(len(ROW_SEPARATOR)) == ROW_SEPARATOR else None


class ParquetAssembler(FileAssembler):
    """Parquet: the row groups of the ranges follow each other, and their footers become one."""

    def __init__(self, *, first: bool = True, last: bool = True) -> None:
        super().__init__(MAGIC if first else b"")
        self._join = FooterJoin()
        self._pending: list[Chunk] = []
        self._last = last
        self._footers: list[bytes] = []

    def feed(self, data: Chunk) -> Iterable[Chunk]:
        """Keep the bytes: only a file's end says where its row groups are."""
        self._pending.append(data)
        return ()

    def end_range(self) -> Iterable[Chunk]:
        """Pass on the row groups of the range."""
        file, self._pending = self._pending, []
        end = sum(map(len, file)) - TAIL_BYTES
        length = int.from_bytes(b"".join(_cut(file, end, 4)), "little")
        footer = b"".join(_cut(file, end - length, length))
        self._footers.append(footer)
        yield self._take_head()
        for span in self._join.add(footer):
            yield from _cut(file, span.start, span.length)

    def finish(self) -> Iterable[Chunk]:
        """The footer. Raises ValueError if there was none to make it of."""
        return (self._join.footer(),) if self._last else ()

    @property
    def footers(self) -> Sequence[bytes]:
        """Those of the ranges so far."""
        return self._footers

    def add_footers(self, footers: Sequence[bytes]) -> None:
        """Count the row groups of a part as following those before."""
        for footer in footers:
            for _ in self._join.add(footer):
                pass


def assembler_for(format_name: str, *, bom: bool = False, first: bool = True, last: bool = True) -> FileAssembler:
    """The assembler of a format, for a part of a file that is the ``first`` or the ``last``, or both."""
    match format_name:
        case "json":
            return ArrayAssembler(first=first, last=last)
        case "parquet":
            return ParquetAssembler(first=first, last=last)
    return FileAssembler(BOM if bom and first else b"")


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
