"""Chooses the assembler of a file, and assembles ranges that are compressed already."""

from collections.abc import Callable
from functools import partial

from engine.common.chunk import Chunk
from engine.execute.compression import Compress, compressor
from engine.execute.file_assembler import (
    ARRAY_CLOSE,
    ARRAY_EMPTY,
    ARRAY_OPEN,
    BOM,
    ROW_SEPARATOR,
    ArrayAssembler,
    FileAssembler,
    ParquetAssembler,
)
from engine.request.formats import COMPRESSIONS, Compression


def assembler_for(
    format_name: str,
    compression: Compression = COMPRESSIONS["none"],
    *,
    bom: bool = False,
    first: bool = True,
    last: bool = True,
) -> FileAssembler:
    """The assembler of a format, for a segment of a file that is the ``first``, the ``last``, or both."""
    compress, head = compressor(compression), BOM if bom and first else b""
    match format_name:
        case "parquet":
            return ParquetAssembler(first=first, last=last)
        case "json":
            make = ArrayAssembler if compress is None else partial(CompressedArrayAssembler, compress)
            return make(first=first, last=last)
    return FileAssembler(head) if compress is None else CompressedAssembler(compress, head, last=last)


class CompressedAssembler(FileAssembler):
    """Concatenates compressed ranges after a compressed ``head``; a file without text is one empty member or frame."""

    def __init__(self, compress: Compress, head: bytes = b"", *, last: bool = True) -> None:
        super().__init__(compress(head) if head else b"")
        self.compress = compress
        self._end = compress(b"") if last else b""

    def feed(self, data: Chunk) -> tuple[Chunk, Chunk]:
        """Take compressed bytes of the current range."""
        self._end = b""
        return (self._take_head(), data)

    def finish(self) -> tuple[Chunk]:
        """End the file."""
        return (self._end,)

    def replace_head(self, _head_of_segment: Callable[[int], bytes]) -> None:
        """Add a segment that another assembler has made."""
        self._end = b""


class CompressedArrayAssembler(FileAssembler):
    """Joins compressed rows of ranges into one JSON array, as `ArrayAssembler` joins arrays."""

    def __init__(self, compress: Compress, *, first: bool = True, last: bool = True) -> None:
        super().__init__()
        self.compress = compress
        self.brackets = (ARRAY_OPEN, ARRAY_CLOSE)
        self._open, self._separator = compress(ARRAY_OPEN), compress(ROW_SEPARATOR)
        self._close, self._empty = compress(ARRAY_CLOSE.rstrip()), compress(ARRAY_EMPTY)
        self._any_rows = not first
        self._last = last
        self._range_started = False

    def feed(self, data: Chunk) -> tuple[Chunk, ...]:
        """Take compressed rows of the current range."""
        lead = b""
        if not self._range_started:
            lead = self._separator if self._any_rows else self._open
        self._range_started = self._any_rows = True
        return (lead, data)

    def end_range(self) -> tuple[Chunk, ...]:
        """End the current range."""
        self._range_started = False
        return ()

    def finish(self) -> tuple[Chunk, ...]:
        """Return the closing bracket, or an empty array."""
        if not self._last:
            return ()
        return (self._close if self._any_rows else self._empty,)

    def replace_head(self, head_of_segment: Callable[[int], bytes]) -> bytes | None:
        """Replace the separator by the opening bracket if no row came before; both have the same length."""
        if self._any_rows:
            return None
        self._any_rows = True
        return self._open if head_of_segment(len(self._separator)) == self._separator else None
