"""Assembles the files that DuckDB writes for single ranges into one file; each format has an assembler.

The same assemblers make the whole file in this process, the segment of it that one task of a cluster encodes, and the
file that the driver of a cluster joins from such segments.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from engine.common.chunk import Chunk
from engine.parquet.footer_merge import MAGIC, TAIL_BYTES, FooterMerger

BOM = "\ufeff".encode()

ARRAY_OPEN, ARRAY_CLOSE, ARRAY_EMPTY = b"[\n\t", b"\n]\n", b"[]"
"""Around the rows of a JSON array as DuckDB writes it, and an array without rows as an export has it."""
ROW_SEPARATOR = b",\n\t"
"""Separates two rows of a JSON array; as long as `ARRAY_OPEN`, so that one can replace the other."""


class FileAssembler:
    """Concatenates ranges unchanged after a ``head``; the base class of the other formats.

    The methods are called in the order of the ranges, and return what goes into the file. They return views of what
    DuckDB wrote, because copying bytes would hold the interpreter lock.
    """

    compress: Callable[[bytes], bytes] | None = None
    """What ranges are compressed with before they come here."""
    brackets: tuple[bytes, bytes] = (b"", b"")
    """What compressed ranges are without: the beginning and the end of what DuckDB writes."""

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

    def replace_head(self, _head_of_segment: Callable[[int], bytes]) -> bytes | None:
        """Add a segment that another assembler has made.

        ``head_of_segment(n)`` returns its first ``n`` bytes. Returns the bytes that have to replace them, or None.
        """
        return None

    @property
    def footers(self) -> Sequence[bytes]:
        """The Parquet footers of the ranges so far, as DuckDB wrote them."""
        return ()

    def add_footers(self, footers: Sequence[bytes]) -> None:
        """Take the footers of a segment that another assembler has made. Raises ValueError if the schemas differ."""

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head


class ArrayAssembler(FileAssembler):
    """Joins the JSON arrays of the ranges into one array.

    DuckDB writes ``[\\n\\t{...},\\n\\t{...}\\n]\\n``, and ``[\\n\\t\\n]\\n`` for no rows, which becomes ``[]``.
    A segment that is not the ``first`` begins with a separator, as if it followed rows; the ``last`` closes the array.
    """

    def __init__(self, *, first: bool = True, last: bool = True) -> None:
        super().__init__()
        self._any_rows = not first
        self._last = last
        self._pending: Chunk = b""
        self._range_started = False

    def feed(self, data: Chunk) -> Iterable[Chunk]:
        """Return the bytes before these, which may contain the end of the array."""
        if self._range_started and len(data) > len(ARRAY_CLOSE):
            pending, self._pending = self._pending, data
            return (pending,)
        # The beginning of a range, or too few bytes to contain the end.
        self._pending = bytes(self._pending) + bytes(data)
        if self._range_started or len(self._pending) <= len(ARRAY_OPEN) + len(ARRAY_CLOSE):
            return ()
        self._range_started = True
        lead = ROW_SEPARATOR if self._any_rows else ARRAY_OPEN
        self._any_rows = True
        self._pending = memoryview(self._pending)[len(ARRAY_OPEN) :]
        return (lead,)

    def end_range(self) -> Iterable[Chunk]:
        """Return the last rows of the range, without its closing bracket."""
        rows, started = memoryview(self._pending), self._range_started
        if rows[-len(ARRAY_CLOSE) :] != ARRAY_CLOSE:
            raise AssertionError("DuckDB's JSON array does not end as expected")
        self._pending, self._range_started = b"", False
        return (rows[: -len(ARRAY_CLOSE)],) if started else ()

    def finish(self) -> Iterable[Chunk]:
        """Return the closing bracket, or an empty array."""
        if not self._last:
            return ()
        return (ARRAY_CLOSE.rstrip() if self._any_rows else ARRAY_EMPTY,)

    def replace_head(self, head_of_segment: Callable[[int], bytes]) -> bytes | None:
        """Replace the separator by the opening bracket if no row came before."""
        if self._any_rows:
            return None
        self._any_rows = True
        return ARRAY_OPEN if head_of_segment(len(ROW_SEPARATOR)) == ROW_SEPARATOR else None


class ParquetAssembler(FileAssembler):
    """Concatenates the row groups of the ranges, and merges their footers."""

    def __init__(self, *, first: bool = True, last: bool = True) -> None:
        super().__init__(MAGIC if first else b"")
        self._merger = FooterMerger()
        self._pending: list[Chunk] = []
        self._last = last
        self._footers: list[bytes] = []

    def feed(self, data: Chunk) -> Iterable[Chunk]:
        """Buffer the bytes: the footer at the end of a file locates its row groups."""
        self._pending.append(memoryview(data))
        return ()

    def end_range(self) -> Iterable[Chunk]:
        """Return the row groups of the range."""
        file, self._pending = self._pending, []
        end = sum(map(len, file)) - TAIL_BYTES
        length = int.from_bytes(b"".join(_cut(file, end, 4)), "little")
        footer = b"".join(_cut(file, end - length, length))
        self._footers.append(footer)
        yield self._take_head()
        for byte_range in self._merger.add(footer):
            yield from _cut(file, byte_range.start, byte_range.length)

    def finish(self) -> Iterable[Chunk]:
        """Return the footer. Raises ValueError if no range was added."""
        return (self._merger.footer(),) if self._last else ()

    @property
    def footers(self) -> Sequence[bytes]:
        """The footers of the ranges so far."""
        return self._footers

    def add_footers(self, footers: Sequence[bytes]) -> None:
        """Add the row groups of a segment after those before."""
        for footer in footers:
            for _ in self._merger.add(footer):
                pass


def _cut(chunks: Iterable[Chunk], start: int, length: int) -> Iterator[Chunk]:
    """Cut ``length`` bytes, from ``start`` on, out of the concatenated chunks."""
    for chunk in chunks:
        if length <= 0:
            return
        if start < len(chunk):
            cut = chunk[start : start + length]
            yield cut
            length -= len(cut)
        start = max(0, start - len(chunk))
