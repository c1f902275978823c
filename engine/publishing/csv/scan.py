"""Which CSV files DuckDB reads as `engine.publishing.csv.records` does, decided by one look at their bytes.

DuckDB 1.5.5 with every option stated and one thread, compared with those records over generated files:

- With ``new_line='\\n'`` it reads exactly: quoted line ends, a quote within an unquoted cell, a last line without its
  end, a byte order mark, NUL, ``#``, a blank line (nothing). In a file of one column a blank line is a null row, and
  some are lost where a buffer ends.
- ``new_line='\\r\\n'`` breaks rows. Without ``new_line``, CRLF files lose rows where a buffer ends between the two
  bytes, and a lone CR or LF in a quoted cell is refused. So lines that end with CRLF are copied with LF.
- ``a,b,`` is read as two cells in a file of two columns: a cell too many is dropped if it is null, or begins with NUL.
- Blanks around a quoted cell (``a, "x"``, ``"x" ,b``) are dropped with its quotes.
- Without ``parallel=false``, rows are lost or doubled where a buffer ends within a quoted cell of several lines. With
  it, all buffers stay in memory up to its limit, and a row with an unclosed quote at the end of the file is dropped. So
  it is used for files with such cells alone, and a file with an unclosed quote is never given to DuckDB.

So DuckDB is given files whose quotes all stand at the edges of cells, and which have as many delimiters outside of
quotes as their rows have to have. A row that is too short is an error of DuckDB's, so none can make up for a long one.
What DuckDB refuses is read again by us, so only what it would alter in silence has to be found here.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from engine.common.cancellation import checkpoint
from engine.publishing.csv.encoding import UTF8, undecodable
from engine.publishing.csv.header import Header
from engine.publishing.csv.records import MAX_RECORD_LENGTH, QUOTE, Dialect

_READ_BYTES = 2 << 20
_BLANK_LINE = re.compile(rb"(?<=\n)\n")


class Form(Enum):
    """What has to be done before DuckDB reads the file."""

    AS_IT_IS = "as it is"
    COPY = "copied: UTF-8, LF, without what comes before the rows"
    REWRITE = "written anew, record by record"


@dataclass(frozen=True, slots=True)
class Scan:
    """What the bytes of a file show."""

    form: Form
    rows: int
    bytes: int
    has_multiline_cells: bool = False
    crlf: bool = False
    """Whether rows end with CRLF; cells may hold CRLF in files that end them with LF."""


def scan(path: Path, header: Header) -> Scan:
    """Look at a whole file. Raises InvalidInput if it is not in its encoding."""
    dialect, size = header.dialect, path.stat().st_size
    structure = _Structure(dialect.delimiter.encode(), len(header.names))
    before = header.line
    for chunk in _lines_of(path, dialect):
        if len(chunk) > MAX_RECORD_LENGTH:
            # Other line ends than LF, or a line beyond the maximum: the reader of records can tell.
            structure.regular = False
        while before and chunk:
            line, _, chunk = chunk.partition(b"\n")
            structure.add_header(line)
            before -= 1
        structure.add(chunk)
        if not structure.regular:
            break
    simple = not any(end in name for name in header.names for end in "\r\n")
    if not simple or dialect.escape != QUOTE or not structure.is_exact:
        return Scan(Form.REWRITE, structure.rows, size)
    as_it_is = not structure.returns and dialect.encoding == UTF8 and header.line == 1
    return Scan(
        Form.AS_IT_IS if as_it_is else Form.COPY,
        structure.rows,
        size,
        structure.has_multiline_cells,
        structure.returns > 0,
    )


def copy_rows(path: Path, header: Header, target: Path, *, crlf: bool) -> None:
    """Write what follows the header as UTF-8 with LF; for files whose `Form` is COPY."""
    before = header.line
    with target.open("wb") as file:
        for chunk in _lines_of(path, header.dialect):
            while before and chunk:
                chunk = chunk.partition(b"\n")[2]
                before -= 1
            file.write(chunk.replace(b"\r\n", b"\n") if crlf else chunk)


class _Structure:
    """What stands outside of quotes: rows, delimiters and line ends, counted chunk by chunk."""

    def __init__(self, delimiter: bytes, columns: int) -> None:
        self.rows = self.returns = 0
        self.regular = True
        self.has_multiline_cells = False
        self._delimiter = delimiter
        self._columns = columns
        self._inside = False
        """Whether the next chunk begins within a quoted cell."""
        self._delimiters = self._feeds = self._pairs_inside = self._blank = 0

    @property
    def is_exact(self) -> bool:
        """Whether DuckDB reads the file, or its copy with LF, as it is."""
        if not self.regular or self._inside:
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
        outside = self._outside(chunk) if self._inside or b'"' in chunk else chunk
        feeds = outside.count(b"\n")
        self._feeds += feeds
        self.has_multiline_cells = self.has_multiline_cells or feeds != chunk.count(b"\n")
        self._delimiters += outside.count(self._delimiter)
        pairs = 0
        if b"\r" in chunk:
            returns, pairs = outside.count(b"\r"), outside.count(b"\r\n")
            self.returns += returns
            self._pairs_inside += chunk.count(b"\r\n") - pairs
            self.regular = self.regular and returns == pairs
            outside = outside.replace(b"\r\n", b"\n")
        blank = len(_BLANK_LINE.findall(outside)) if b"\n\n" in outside else 0
        blank += outside.startswith(b"\n")
        unfinished = bool(outside) and not outside.endswith(b"\n") and not self._inside
        self._blank += blank
        self.rows += feeds - blank + unfinished

    def _outside(self, chunk: bytes) -> bytes:
        """The chunk with a quote in place of each quoted cell, of one that goes on from the chunk before, too."""
        pieces = chunk.split(b'"')
        begins_inside = self._inside
        outside = pieces[begins_inside::2]
        self._inside = begins_inside ^ (len(pieces) % 2 == 0)
        # There is nothing between two quotes within a cell.
        kept = [piece for piece in outside if piece]
        if not kept:
            return b'"'
        text = b'"'.join(kept)
        if begins_inside or not outside[0]:
            text = b'"' + text
        if self._inside or not outside[-1]:
            text += b'"'
        self._check_edges(text)
        return text

    def _check_edges(self, text: bytes) -> None:
        """Whether each quote, which is a cell here, stands between delimiters or line ends."""
        cells = text.count(b'"')
        before = text.count(self._delimiter + b'"') + text.count(b'\n"') + text.startswith(b'"')
        after = sum(text.count(b'"' + end) for end in (self._delimiter, b"\n", b"\r")) + text.endswith(b'"')
        self.regular = self.regular and before == after == cells


def _lines_of(path: Path, dialect: Dialect) -> Iterator[bytes]:
    """The file as UTF-8, in pieces that end with a line feed, but for the last."""
    rest = b""
    try:
        for chunk in _utf8(path, dialect.encoding):
            end = chunk.rfind(b"\n") + 1
            if not end:
                rest += chunk
                if len(rest) > MAX_RECORD_LENGTH:
                    break
                continue
            yield _checked(rest + chunk[:end])
            rest = chunk[end:]
        if rest:
            yield _checked(rest)
    except UnicodeError as error:
        raise undecodable(path, dialect.encoding) from error


def _checked(piece: bytes) -> bytes:
    if not piece.isascii():
        piece.decode()
    return piece


def _utf8(path: Path, encoding: str) -> Iterator[bytes]:
    """The bytes of the file, in UTF-8 if they are in another encoding."""
    decoder = None if encoding == UTF8 else codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            checkpoint()
            yield chunk if decoder is None else decoder.decode(chunk).encode()
    if decoder is not None:
        yield decoder.decode(b"", final=True).encode()
