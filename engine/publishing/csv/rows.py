"""The rows of a CSV file, parsed by Arrow in chunks: as `engine.publishing.csv.records` reads them, or not at all.

Arrow 26 reads files as those records do (tests compare both over generated files): quoted line ends, mixed line ends,
a quote within an unquoted cell, NUL, ``#``, blanks around quotes, and nulls apart from quoted empty cells. It refuses a
row of another width, and text that is not UTF-8. But these it would read in silence, so they are looked for:

- Text that follows the closing quote of a cell, which it appends to the cell; and a quote that is never closed. One
  regular expression (`_regular`) finds both, and takes a third of the time of the parser.
- A byte order mark at the beginning of what it is given, here of a chunk, is dropped.

So that a chunk ends where a row ends, it is cut at its last line end outside of quotes.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from engine.errors import InvalidInput
from engine.publishing.csv.encoding import UTF8, open_text
from engine.publishing.csv.records import QUOTE, Dialect

_CHUNK_ROWS = 3_900
"""Rows of a chunk, roughly: DuckDB splits them into vectors of 2,048, of which the last should not be nearly empty."""
_LEAST_BYTES, _MOST_BYTES = 256 * 1024, 1024 * 1024
_SAMPLES, _SAMPLE_BYTES = 16, 64 * 1024


class Misread(InvalidInput):
    """Arrow would read the file otherwise than we do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the cells of a file are written, and where its rows begin."""

    dialect: Dialect
    lines: int
    """Lines before the first row."""
    width: int
    """Cells of a row."""
    average_row: float = 0.0
    """Bytes, roughly."""
    longest_row: int = 8 * 1024 * 1024
    """Bytes; a file with a longer one is read record by record: an open quote makes one row of all that follows."""


def schema(width: int) -> pa.Schema:
    """The columns that `batches` gives, by position: names in files are data."""
    return pa.schema([(f"c{index}", pa.string()) for index in range(width)])


def is_simple(dialect: Dialect, names: tuple[str, ...]) -> bool:
    """Whether a file in that dialect can be read here."""
    one_byte = len(dialect.delimiter.encode()) == 1 and dialect.delimiter != "\0"
    return dialect.escape == QUOTE and one_byte and not any(end in name for name in names for end in "\r\n")


def batches(path: Path, layout: Layout, add_bytes: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
    """The rows of a file in order; an unquoted empty cell, and an unquoted null text, is null.

    Calls ``add_bytes`` with the size of what was read. Raises Misread, ArrowInvalid or UnicodeError for a file that
    has to be read record by record.
    """
    null = layout.dialect.null
    columns = schema(layout.width)
    parse = pa.csv.ParseOptions(delimiter=layout.dialect.delimiter, ignore_empty_lines=layout.width > 1)
    convert = pa.csv.ConvertOptions(
        column_types=columns,
        null_values=["", *([] if null is None else [null])],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    for chunk in _whole_rows(path, layout, add_bytes):
        marked = bytes(chunk[:3]) == codecs.BOM_UTF8
        read = pa.csv.ReadOptions(
            use_threads=False, block_size=len(chunk) + 2, column_names=columns.names, skip_rows=int(marked)
        )
        buffer = pa.BufferReader(b"\n" + chunk if marked else chunk)
        yield from pa.csv.read_csv(buffer, read, parse, convert).to_batches()


def average_row(path: Path) -> float:
    """Bytes of a row, roughly, by places all over the file."""
    size, read, ends = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        for place in range(_SAMPLES):
            file.seek(size * place // _SAMPLES)
            data = file.read(_SAMPLE_BYTES)
            read += len(data)
            ends += max(data.count(b"\n"), data.count(b"\r"))
    return read / max(ends, 1)


def _chunk_bytes(average_row: float) -> int:
    return min(max(int(_CHUNK_ROWS * average_row), _LEAST_BYTES), _MOST_BYTES)


def _whole_rows(path: Path, layout: Layout, add_bytes: Callable[[int], None]) -> Iterator[bytes | memoryview]:
    """The bytes of the rows, in UTF-8; each chunk ends with the end of a row."""
    regular, rows, unfinished = _patterns(layout.dialect.delimiter.encode())
    rest = b""
    for piece in _after_header(path, layout):
        add_bytes(len(piece))
        data = rest + piece
        # A return at the end may be half of a line end.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        if not _is_whole(regular, data, end):
            end = _end_of(rows, data)
            if not unfinished.fullmatch(data, end):
                raise Misread("Text follows the closing quote of a cell.")
        if end:
            yield memoryview(data)[:end]
        rest = data[end:]
        if len(rest) > layout.longest_row:
            raise Misread("A row is too long.")
    if rest:
        data = rest + b"\n"
        if not _is_whole(regular, data, len(data)):
            raise Misread("A quote is never closed, or text follows it.")
        yield data


def _is_whole(regular: re.Pattern[bytes], data: bytes, end: int) -> bool:
    found = regular.match(data, 0, end)
    return found is not None and found.end() == end


def _end_of(rows: re.Pattern[bytes], data: bytes) -> int:
    found = rows.match(data)
    return 0 if found is None else found.end()


def _patterns(delimiter: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes], re.Pattern[bytes]]:
    """Patterns for text whose quotes are where they should be, for whole rows of it, and for the beginning of a row.

    Two quotes within a quoted cell are taken for the end of one cell and the beginning of the next: what counts is that
    each quote that opens stands at the beginning of a cell, and each that closes at the end of one, or beside another.
    """
    edge = rb'[\r\n"' + re.escape(delimiter) + b"]"
    opening, closing = rb"(?:\A|(?<=" + edge + rb'))"[^"]*+', rb'"(?=' + edge + b")"
    row = rb'[^"\r\n]*+(?:' + opening + closing + rb'[^"\r\n]*+)*+'
    return (
        re.compile(rb'[^"]*+(?:' + opening + closing + rb'[^"]*+)*+'),
        # A return at the end may be half of a line end.
        re.compile(rb"(?:" + row + rb"(?:\n|\r\n|\r(?!\n|\Z)))*+"),
        re.compile(row + rb"(?:\r|" + opening + rb'"?)?'),
    )


def _after_header(path: Path, layout: Layout) -> Iterator[bytes]:
    """The file from its first row on, in UTF-8."""
    encoding = layout.dialect.encoding
    size = _chunk_bytes(layout.average_row)
    with open_text(path, encoding) as text:
        header = [text.readline() for _ in range(layout.lines)]
        if encoding != UTF8:
            for piece in iter(partial(text.read, size), ""):
                yield piece.encode()
            return
    with path.open("rb") as file:
        marked = file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
        file.seek(len("".join(header).encode()) + (len(codecs.BOM_UTF8) if marked else 0))
        yield from iter(partial(file.read, size), b"")
