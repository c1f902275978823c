"""CSV as we understand it: the records of a file, cell by cell, and what is wrong with a file that has none.

RFC 4180, and what files have beside it: any of LF, CRLF and CR ends a line, also mixed; a quote is special only as the
first character of a cell; a quoted cell ends with a quote before a delimiter or the end of the line. Blanks and ``#``
are data. An empty cell is null, a quoted empty cell is the empty string.

This reader decides what a file says. Arrow reads most files some twenty times faster, and `engine.publishing.csv.rows`
knows which ones it reads as this reader does; the rest are written anew from these records.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TextIO

from engine.catalog.field_names import MAX_COLUMNS
from engine.errors import InvalidInput
from engine.publishing.csv.encoding import UTF8, open_text, undecodable

MAX_RECORD_LENGTH = 64_000_000
"""Characters in one record, and so in one line."""
_MOST_CELLS = MAX_COLUMNS + 1
"""Cells that are read of one record: enough to tell that there are too many."""
_MOST_PIECES = 1_000

QUOTE = '"'
_NEWLINES = "\r\n"

_TEXT_AFTER_QUOTE = (
    "text follows the closing quote of a cell. Within a quoted cell, a quote is written twice; if the file has another "
    "character before it, such as a backslash, state that with --escape."
)
_UNCLOSED = (
    "Close the quote, or write the cell in quotes with its own quotes doubled; if the file escapes quotes by another "
    "character, state that with --escape."
)

Record = tuple[int, list[str | None]]
"""The number of a record's first line, from 1, and its cells. A blank line is a record without cells."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the cells of a file are written."""

    delimiter: str = ","
    escape: str = QUOTE
    encoding: str = UTF8
    skip_lines: int = 0
    null: str | None = None
    """An unquoted cell of this text is null, as an empty one is."""


def read_records(path: Path, dialect: Dialect) -> Iterator[Record]:
    """The records of a file in order, after the skipped lines.

    Raises InvalidInput, which names file and line, for what is no CSV in that dialect.
    """
    with open_text(path, dialect.encoding) as file:
        reader = _Reader(path.name, file, dialect)
        try:
            yield from reader.records()
        except UnicodeError as error:
            raise undecodable(path, dialect.encoding) from error


class _Reader:
    def __init__(self, name: str, file: TextIO, dialect: Dialect) -> None:
        self._name = name
        self._lines = iter(partial(file.readline, MAX_RECORD_LENGTH + 1), "")
        self._line = 0
        self._dialect = dialect
        self._special = re.compile(f"[{re.escape(QUOTE + dialect.escape)}]")

    def records(self) -> Iterator[Record]:
        delimiter, null = self._dialect.delimiter, self._dialect.null
        for _ in range(self._dialect.skip_lines):
            if self._next() is None:
                return
        while (line := self._next()) is not None:
            number = self._line
            text, ending = _split(line.removeprefix("\ufeff") if number == 1 else line)
            if not text:
                cells = []
            elif QUOTE not in text:
                # The last piece is the rest of the line, which may be long.
                pieces = text.split(delimiter, _MOST_CELLS)[:_MOST_CELLS]
                cells = [None if cell in ("", null) else cell for cell in pieces]
            else:
                cells = list(islice(self._cells(text, ending), _MOST_CELLS))
            yield number, cells
            # Afterwards: who reads the header alone sees that it is too wide with this delimiter.
            if len(cells) == _MOST_CELLS:
                raise self._error(
                    number,
                    f"the row has more than {MAX_COLUMNS:,} cells, and a run has at most as many columns: bring fewer, "
                    "such as one row for each name and value.",
                )

    def _next(self) -> str | None:
        line = next(self._lines, None)
        if line is not None:
            self._line += 1
            if len(line) > MAX_RECORD_LENGTH:
                raise self._error(self._line, f"the line is longer than {MAX_RECORD_LENGTH:,} characters, the maximum.")
        return line

    def _cells(self, text: str, ending: str) -> Iterator[str | None]:
        """The cells of a record that begins with this line; a quoted cell may reach into the next lines."""
        delimiter, null, at = self._dialect.delimiter, self._dialect.null, 0
        while True:
            if text.startswith(QUOTE, at):
                cell, text, ending, at = self._quoted(text, ending, at + 1)
                yield cell
                if at < len(text) and not text.startswith(delimiter, at):
                    raise self._error(self._line, _TEXT_AFTER_QUOTE)
            else:
                end = text.find(delimiter, at)
                cell = text[at:] if end < 0 else text[at:end]
                yield None if cell in ("", null) else cell
                at = len(text) if end < 0 else end
            if at == len(text):
                return
            at += len(delimiter)

    def _quoted(self, text: str, ending: str, at: int) -> tuple[str, str, str, int]:
        """A quoted cell from after its quote: its text, the line in which it ends, and the place after its end."""
        opened, size, escape = self._line, 0, self._dialect.escape
        joined: list[str] = []
        pieces: list[str] = []
        while True:
            found = self._special.search(text, at)
            if found is None:
                pieces += [text[at:], ending]
                size += len(text) - at
                if len(pieces) > _MOST_PIECES:
                    # Objects take more memory than the text of short lines.
                    joined.append("".join(pieces))
                    pieces.clear()
                if size > MAX_RECORD_LENGTH:
                    raise self._error(
                        opened, f"a quoted cell has more than {MAX_RECORD_LENGTH:,} characters. {_UNCLOSED}"
                    )
                line = self._next()
                if line is None:
                    raise self._error(opened, f"a quote is opened and never closed. {_UNCLOSED}")
                text, ending, at = *_split(line), 0
                continue
            place = found.start()
            following = text[place + 1 : place + 2]
            if found.group() == escape and following and following in (QUOTE, escape):
                pieces += [text[at:place], following]
                at = place + 2
            elif found.group() == QUOTE:
                pieces.append(text[at:place])
                return "".join([*joined, *pieces]), text, ending, place + 1
            else:
                # An escape before another character is plain text.
                pieces.append(text[at : place + 1])
                at = place + 1

    def _error(self, line: int, problem: str) -> InvalidInput:
        return InvalidInput(f"{self._name}, line {line:,}: {problem}")


def _split(line: str) -> tuple[str, str]:
    """A line and its end."""
    text = line.rstrip(_NEWLINES)
    return text, line[len(text) :]
