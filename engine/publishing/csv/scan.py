"""Which CSV files DuckDB reads as `engine.publishing.csv.records` does, decided by one look at their bytes.

DuckDB 1.5.5 with every option stated and one thread, compared with those records over generated files:

- With ``new_line='\\n'`` it reads exactly: quoted line ends, a quote within an unquoted cell, a last line without its
  end, a byte order mark, ``#``, a blank line (a null row in a file of one column, nothing in others).
- ``new_line='\\r\\n'`` breaks rows. Without ``new_line``, CRLF files lose rows where a buffer ends between the two
  bytes, and a lone CR or LF in a quoted cell is refused. So lines that end with CRLF are copied with LF.
- ``a,b,`` is read as two cells in a file of two columns: a cell too many is dropped if it is null, or begins with NUL.
- Blanks around a quoted cell (``a, "x"``, ``"x" ,b``) are dropped with its quotes.
- With ``parallel=false``, a row with an unclosed quote at the end of the file is dropped. Without it such a row is an
  error, and so are some files that are right, for which DuckDB asks for ``parallel=false``.

What DuckDB refuses is read again by us, so only what it would alter in silence has to be found here.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from engine.publishing.csv.encoding import UTF8, undecodable
from engine.publishing.csv.header import Header
from engine.publishing.csv.records import MAX_RECORD_LENGTH, QUOTE, Dialect

_READ_BYTES = 2 << 20
_QUOTED = re.compile(rb'"[^"]*"')


class Form(Enum):
    """What has to be done before DuckDB reads the file."""

    AS_IT_IS = "as it is"
    COPY = "copied: UTF-8, LF, without what comes before the rows"
    REWRITE = "written anew, record by record"


@dataclass(frozen=True, slots=True)
class Scan:
    """What the bytes of a file show."""

    form: Form
    lines: int
    bytes: int


def scan(path: Path, header: Header) -> Scan:
    """Look at a whole file. Raises InvalidInput if it is not in its encoding."""
    dialect, size = header.dialect, path.stat().st_size
    simple = not any(end in name for name in header.names for end in "\r\n")
    suspects = _Suspects(dialect, len(header.names))
    exact = simple and dialect.escape == QUOTE
    lines = returns = pairs = 0
    for chunk in _lines_of(path, dialect):
        if len(chunk) > MAX_RECORD_LENGTH:
            # Other line ends than LF, or a line beyond the maximum: the reader of records can tell.
            exact = False
            break
        lines += chunk.count(b"\n")
        if b"\r" in chunk:
            returns += chunk.count(b"\r")
            pairs += chunk.count(b"\r\n")
        exact = exact and not suspects.any_in(chunk)
    if not exact or suspects.quotes % 2 or (returns and not returns == pairs == lines):
        return Scan(Form.REWRITE, lines, size)
    if returns and suspects.odd_lines:
        # CR or CRLF within cells.
        return Scan(Form.REWRITE, lines, size)
    as_it_is = not returns and dialect.encoding == UTF8 and header.line == 1
    return Scan(Form.AS_IT_IS if as_it_is else Form.COPY, lines, size)


def copy_rows(path: Path, header: Header, target: Path) -> None:
    """Write what follows the header as UTF-8 with LF; for files whose `Form` is COPY."""
    before = header.line
    with target.open("wb") as file:
        for chunk in _lines_of(path, header.dialect):
            while before and chunk:
                chunk = chunk.partition(b"\n")[2]
                before -= 1
            file.write(chunk.replace(b"\r\n", b"\n"))


class _Suspects:
    """Bytes that DuckDB may read as something else."""

    def __init__(self, dialect: Dialect, columns: int) -> None:
        delimiter = dialect.delimiter.encode()
        self.quotes = 0
        self.odd_lines = False
        """Whether quoted cells reach over lines."""
        self._delimiter = delimiter
        self._null_ends = (delimiter, delimiter + (dialect.null or "").encode())
        self._columns = columns
        cell, end = re.escape(delimiter), rb"(?:" + re.escape(delimiter) + rb"|[\r\n]|\Z)"
        # Within a cell, quotes are doubled: a lone one beside blanks is at the edge of a cell.
        self._blank_before = re.compile(rb"(?:^|\n|" + cell + rb") +\"(?:\"" + end + rb"|[^\"])")
        self._blank_after = re.compile(rb"(?:(?<!\")\"(?:\"\")*|(?<=" + cell + rb")\"\"|(?<=\n)\"\"|^\"\") +" + end)

    def any_in(self, chunk: bytes) -> bool:
        """Whether there are some in a chunk of whole lines."""
        if b"\0" in chunk:
            return True
        quotes = chunk.count(b'"')
        if quotes:
            self.quotes += quotes
            if b"\r" in chunk and not self.odd_lines:
                self.odd_lines = any(line.count(b'"') % 2 for line in chunk.split(b"\n"))
            if b' "' in chunk and self._blank_before.search(chunk):
                return True
            if b'" ' in chunk and self._blank_after.search(chunk):
                return True
        return self._has_surplus(chunk, quotes=quotes > 0)

    def _has_surplus(self, chunk: bytes, *, quotes: bool) -> bool:
        """Whether a line that ends with a null may have one cell too many."""
        ends = self._null_ends
        if not any(end + b"\n" in chunk or end + b"\r" in chunk or chunk.endswith(end) for end in ends):
            return False
        for line in chunk.split(b"\n"):
            text = line.removesuffix(b"\r")
            if text.endswith(ends):
                bare = _QUOTED.sub(b"", text) if quotes and b'"' in text else text
                # A quote that is left belongs to a cell of several lines.
                if bare.count(self._delimiter) != self._columns - 1 or b'"' in bare:
                    return True
        return False


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
            yield chunk if decoder is None else decoder.decode(chunk).encode()
    if decoder is not None:
        yield decoder.decode(b"", final=True).encode()
