"""Decide from its bytes whether DuckDB reads a CSV file as `engine.publishing.csv.records` does.

DuckDB 1.5.5 with every option stated and one thread, compared with those records over generated files:

- With ``new_line='\\n'`` it reads exactly: quoted line ends, a quote within an unquoted cell, a last line without its
  end, a byte order mark, NUL, ``#``, a blank line (nothing). In a file of one column a blank line is a null row, and
  some are lost where a buffer ends.
- ``new_line='\\r\\n'`` breaks rows. Without ``new_line``, CRLF files lose rows where a buffer ends between the two
  bytes, and a lone CR or LF in a quoted cell is refused. So lines that end with CRLF are copied with LF.
- ``a,b,`` is read as two cells in a file of two columns: a cell too many is dropped if it is null, or begins with NUL.
- Blanks around a quoted cell (``a, "x"``, ``"x" ,b``) are dropped with its quotes.
- Without ``parallel=false``, rows are lost or doubled where a buffer ends within a quoted cell of several lines. With
  it, all buffers of a file stay in memory up to the limit, and a row with an unclosed quote at the end of the file is
  dropped. So it is used only for files with such cells, large ones are copied in pieces (364 MB took 563 MB of memory
  in one file, 166 MB in pieces), and a file with an unclosed quote is never given to DuckDB.
- It refuses text that is not UTF-8, in every column that it reads.

So DuckDB is given files whose quotes all stand at the edges of cells, and which have as many delimiters outside of
quotes as their rows have to have. DuckDB refuses a row that is too short, so none can make up for a long one.
What DuckDB refuses is read again by our own reader, so the scan has to find only what DuckDB would alter silently.

The scan is on the path of every CSV file, so most of its work is done on the bytes that give a file its structure
(delimiters and line ends, about 1 in 15): ``bytes.translate`` extracts them at more than 1 GB/s.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
from pathlib import Path

from engine.common.cancellation import checkpoint
from engine.publishing.csv.encoding import UTF8, undecodable
from engine.publishing.csv.header import Header
from engine.publishing.csv.records import MAX_RECORD_LENGTH, QUOTE, Dialect

_CHUNK_BYTES = 256 * 1024
_first_byte, _last_byte = itemgetter(0), itemgetter(-1)
_BLANK_LINE = re.compile(rb"(?<=\n)\n")


class Form(Enum):
    """What has to be done before DuckDB reads the file."""

    AS_IT_IS = "as it is"
    COPY = "copied as UTF-8 with LF, without the lines up to the header"
    REWRITE = "rewritten record by record"


@dataclass(frozen=True, slots=True)
class Scan:
    """The structure of a file."""

    form: Form
    rows: int
    bytes: int
    has_multiline_cells: bool = False
    crlf: bool = False
    """Whether rows end with CRLF; cells may hold CRLF in files that end them with LF."""


def scan(path: Path, header: Header) -> Scan:
    """Scan a whole file. Raises InvalidInput if it cannot be decoded; UTF-8 is left to the reader of the rows."""
    dialect, size = header.dialect, path.stat().st_size
    delimiter = dialect.delimiter.encode()
    simple = (
        dialect.escape == QUOTE
        and len(delimiter) == 1
        and not any(end in name for name in header.names for end in "\r\n")
    )
    if not simple:
        return Scan(Form.REWRITE, 0, size)
    structure = _Structure(delimiter, len(header.names))
    header_lines = header.line
    for chunk in _lines_of(path, dialect):
        if len(chunk) > MAX_RECORD_LENGTH:
            # Lines end with something other than LF, or one exceeds the maximum: the record reader tells which.
            structure.regular = False
        while header_lines and chunk:
            line, _, chunk = chunk.partition(b"\n")
            structure.add_header(line)
            header_lines -= 1
        structure.add(chunk)
        if not structure.regular:
            break
    if not structure.is_exact:
        return Scan(Form.REWRITE, structure.rows, size)
    as_it_is = not structure.returns and dialect.encoding == UTF8 and header.line == 1
    return Scan(
        Form.AS_IT_IS if as_it_is else Form.COPY,
        structure.rows,
        size,
        structure.has_multiline_cells,
        structure.returns > 0,
    )


def copy_rows(path: Path, header: Header, target: Path, *, crlf: bool, max_bytes: int | None = None) -> list[Path]:
    """Write what follows the header as UTF-8 with LF, for files that `scan` found exact, and return the files written.

    With ``max_bytes``, a file ends at the first row end found beyond that size; the names of the others get a number.
    """
    header_lines, files, inside_quotes = header.line, [target], False
    file = target.open("wb")
    try:
        for chunk in _lines_of(path, header.dialect):
            while header_lines and chunk:
                chunk = chunk.partition(b"\n")[2]
                header_lines -= 1
            if max_bytes is not None and not inside_quotes and file.tell() >= max_bytes:
                file.close()
                files.append(target.with_name(f"{target.stem}-{len(files)}{target.suffix}"))
                file = files[-1].open("wb")
            file.write(chunk.replace(b"\r\n", b"\n") if crlf else chunk)
            inside_quotes ^= chunk.count(b'"') % 2 == 1
    finally:
        file.close()
    return files


class _Structure:
    """Count what stands outside of quotes: rows, delimiters and line ends, chunk by chunk."""

    def __init__(self, delimiter: bytes, columns: int) -> None:
        self.rows = self.returns = 0
        self.regular = True
        self.has_multiline_cells = False
        self._delimiter = delimiter
        self._columns = columns
        self._row = delimiter * (columns - 1) + b"\n"
        """The structural bytes of a row without quotes."""
        self._text = bytes(set(range(256)) - {*delimiter, *b"\r\n"})
        """All bytes that are not structural; the quote is one of them, since quoted cells are taken out first."""
        self._before_cell = {*delimiter, *b"\n"}
        self._after_cell = {*delimiter, *b"\r\n"}
        """What may stand at the edges of a quoted cell."""
        self._inside_quotes = False
        """Whether the next chunk begins within a quoted cell."""
        self._delimiters = self._feeds = self._pairs_inside = self._blank = 0

    @property
    def is_exact(self) -> bool:
        """Whether DuckDB reads the file, or its copy with LF, as it is."""
        if not self.regular or self._inside_quotes:
            return False
        if self.returns and (self.returns, self._pairs_inside) != (self._feeds, 0):
            # Other line ends beside CRLF, or CRLF within a cell, where the copy would have LF.
            return False
        if self._columns == 1 and self._blank:
            return False
        return self._delimiters == (self._columns - 1) * self.rows

    def add_header(self, line: bytes) -> None:
        """Count a line up to the header, without its line feed."""
        returns = line.count(b"\r")
        self.returns += returns
        self._feeds += 1
        self.regular = self.regular and returns == line.endswith(b"\r")

    def add(self, chunk: bytes) -> None:
        """Count a chunk of whole lines."""
        has_quotes = self._inside_quotes or b'"' in chunk
        outside = self._outside(chunk) if has_quotes else chunk
        structural = outside.translate(None, self._text)
        feeds = structural.count(b"\n")
        self._feeds += feeds
        if has_quotes and not self.has_multiline_cells:
            self.has_multiline_cells = feeds != chunk.count(b"\n")
        if self._columns > 1 and structural == self._row * feeds and outside.endswith(b"\n"):
            # Each line is a row of the right width, as in most chunks.
            self.rows += feeds
            self._delimiters += (self._columns - 1) * feeds
        else:
            self._add_irregular(chunk, outside, structural)

    def _add_irregular(self, chunk: bytes, outside: bytes, structural: bytes) -> None:
        """Count a chunk with CRLF, blank lines or rows of another width, or one that ends within a row or a cell."""
        self._delimiters += structural.count(self._delimiter)
        if b"\r" in chunk:
            returns, pairs = structural.count(b"\r"), outside.count(b"\r\n")
            self.returns += returns
            self._pairs_inside += chunk.count(b"\r\n") - pairs
            self.regular = self.regular and returns == pairs
            outside = outside.replace(b"\r\n", b"\n")
        blank = len(_BLANK_LINE.findall(outside)) if b"\n\n" in outside else 0
        blank += outside.startswith(b"\n")
        unfinished = bool(outside) and not outside.endswith(b"\n") and not self._inside_quotes
        self._blank += blank
        self.rows += structural.count(b"\n") - blank + unfinished

    def _outside(self, chunk: bytes) -> bytes:
        """The chunk with one quote in place of each quoted cell; a cell may begin or end in another chunk."""
        pieces = chunk.split(b'"')
        begins_inside = self._inside_quotes
        outside = pieces[begins_inside::2]
        self._inside_quotes = begins_inside ^ (len(pieces) % 2 == 0)
        # An empty piece is the middle of a doubled quote, which is part of a cell.
        text = b'"'.join(filter(None, outside))
        if not text:
            return b'"'
        if begins_inside or not outside[0]:
            text = b'"' + text
        if self._inside_quotes or not outside[-1]:
            text += b'"'
        # The edges of the chunk are line ends.
        if not begins_inside:
            outside[0] = b"\n" + outside[0]
        if not self._inside_quotes:
            outside[-1] += b"\n"
        self.regular = (
            self.regular
            and set(map(_first_byte, filter(None, outside))) <= self._after_cell
            and set(map(_last_byte, filter(None, outside))) <= self._before_cell
        )
        return text


def _lines_of(path: Path, dialect: Dialect) -> Iterator[bytes]:
    """The file in chunks that end with a line feed, but for the last; as UTF-8 if it is in another encoding."""
    rest = b""
    try:
        for chunk in _utf8(path, dialect.encoding):
            end = chunk.rfind(b"\n") + 1
            if not end:
                rest += chunk
                if len(rest) > MAX_RECORD_LENGTH:
                    break
                continue
            yield rest + chunk[:end]
            rest = chunk[end:]
        if rest:
            yield rest
    except UnicodeError as error:
        raise undecodable(path, dialect.encoding) from error


def _utf8(path: Path, encoding: str) -> Iterator[bytes]:
    """The bytes of the file, in UTF-8 if they are in another encoding."""
    decoder = None if encoding == UTF8 else codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            checkpoint()
            yield chunk if decoder is None else decoder.decode(chunk).encode()
    if decoder is not None:
        yield decoder.decode(b"", final=True).encode()
