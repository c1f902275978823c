"""The first record of a CSV file: which delimiter it is written with, and what its columns are called."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from engine.errors import InvalidInput
from engine.publishing.csv.encoding import UTF8, encoding_of, open_text, unmarked_encoding
from engine.publishing.csv.records import QUOTE, Dialect, Record, read_records
from engine.publishing.options import ReadOptions

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_SPELLED = {"\t": r"$'\t'"}
_TAB_EXTENSIONS = (".tsv", ".tab")
_DELIMITER_LINE = re.compile(r"sep=([^\r\n])[\r\n]")
"""What Excel writes before the header."""
_PAGE = re.compile(r"\s*<(!doctype html|html|table)\b", re.IGNORECASE)
_CONTROL = re.compile(r"[\0-\x08\x0e-\x1f]")
"""What no text has in its header: raw Snappy has no first bytes of its own, for example."""
_SAMPLE_RECORDS = 1_000
_SAMPLE_CELLS = 100_000
_SAMPLE_CHARACTERS = 4_000_000


@dataclass(frozen=True, slots=True)
class Header:
    """What a file begins with."""

    dialect: Dialect
    names: tuple[str, ...]
    """As written, with ``column_1`` and so on for what is empty."""
    line: int
    """The line in which the header begins."""
    sample: tuple[list[str | None], ...]
    """The cells of the first rows."""
    notes: tuple[str, ...]


def read_header(path: Path, options: ReadOptions) -> Header:
    """Read the header of a file, and its first rows.

    Nothing is guessed but what is beyond doubt, and ``notes`` says so. Raises InvalidInput with the option that helps.
    """
    dialect, notes = _dialect(path, options)
    records = list(_first_records(path, dialect))
    if not records:
        raise InvalidInput(
            f"{path.name} has no header: the first line of a CSV file that is not blank names its columns."
        )
    line, header = records[0][0], _header(path, replace(dialect, null=None))
    _check_header(path, line, header)
    names = tuple(cell or f"column_{number}" for number, cell in enumerate(header, 1))
    unnamed = [name for name, cell in zip(names, header, strict=True) if not cell]
    if unnamed:
        notes.append(f"{path.name}: columns without a name are called {_listed(unnamed)}.")
    return Header(dialect, names, line, tuple(cells for _, cells in records[1:]), tuple(notes))


def _check_header(path: Path, line: int, header: Sequence[str | None]) -> None:
    """Raise InvalidInput for what is no header of a CSV file."""
    if _PAGE.match(header[0] or ""):
        raise InvalidInput(f"{path.name} is an HTML page, not CSV: look at it in a browser, it may be an error page.")
    found = next(filter(None, (_CONTROL.search(cell or "") for cell in header)), None)
    if found is None:
        return
    wide, place = unmarked_encoding(path), f"{path.name}, line {line:,}"
    if wide:
        raise InvalidInput(f"{place}: the header has NUL characters; --encoding {wide} can read it.")
    advice = "" if found[0] == "\0" else f", or use --delimiter {_option(found[0])} if it separates cells"
    raise InvalidInput(
        f"{place}: the header has the control character {found[0]!r}, as compressed and binary files have: unpack or "
        f"convert the file first{advice}."
    )


def _dialect(path: Path, options: ReadOptions) -> tuple[Dialect, list[str]]:
    encoding = encoding_of(path, options.encoding)
    notes = []
    if options.encoding is None and encoding != UTF8:
        notes.append(f"{path.name} is read as {encoding.upper()}, by its byte order mark.")
    for name, character in (("--delimiter", options.delimiter), ("--escape", options.escape)):
        if character is not None and (
            len(character) != 1 or character in "\r\n" or (name, character) == ("--delimiter", QUOTE)
        ):
            advice = r" (a tab is $'\t')" if character == r"\t" else ""
            raise InvalidInput(f"{name} is one character, not {character!r}{advice}.")
    if options.delimiter == options.escape:
        raise InvalidInput("--delimiter and --escape are the same character.")
    usual = "\t" if path.suffix.lower() in _TAB_EXTENSIONS else ","
    dialect = Dialect(options.delimiter or usual, options.escape, encoding, options.skip_lines, options.null)
    stated = None if options.skip_lines else _stated_delimiter(path, encoding)
    if stated is not None:
        notes.append(f"{path.name}: the first line, sep={stated}, states the delimiter and is no row.")
        return replace(dialect, delimiter=options.delimiter or stated, skip_lines=1), notes
    if options.delimiter is None:
        found = _other_delimiter(path, dialect)
        if found is not None:
            notes.append(
                f"{path.name} is read with the delimiter {_DELIMITERS[found]}: each row has it as often as the header."
            )
            dialect = replace(dialect, delimiter=found)
    return dialect, notes


def _stated_delimiter(path: Path, encoding: str) -> str | None:
    try:
        with open_text(path, encoding) as file:
            found = _DELIMITER_LINE.match(file.read(len("sep=;\n")))
    except UnicodeError:
        # The error for that names the line.
        return None
    return None if found is None or found[1] == QUOTE else found[1]


def _other_delimiter(path: Path, dialect: Dialect) -> str | None:
    """The delimiter of a file whose header has none of the usual ones, or None if that is one column.

    Raises InvalidInput if the header has another delimiter, but not all rows have it alike; and if all rows have two
    delimiters alike, as where the cells of a file with tabs have commas in them.
    """
    width = len(_header(path, dialect))
    possible = [
        delimiter
        for delimiter in _DELIMITERS
        if delimiter != dialect.delimiter and len(_header(path, replace(dialect, delimiter=delimiter))) > width
    ]
    regular = [delimiter for delimiter in possible if _is_regular(path, replace(dialect, delimiter=delimiter))]
    if width > 1 and regular:
        raise InvalidInput(
            f"{path.name}: each row has the {_DELIMITERS[regular[0]]} as often as the header, and the header has "
            f"{_DELIMITERS[dialect.delimiter]}s, too: state which one separates cells, with "
            f"--delimiter {_option(regular[0])} or --delimiter {_option(dialect.delimiter)}."
        )
    if width > 1:
        return None
    if len(regular) == 1:
        return regular[0]
    if possible:
        raise InvalidInput(
            f"{path.name}: the header has no {_DELIMITERS[dialect.delimiter]}. Use --delimiter {_option(possible[0])} "
            f"if its cells are separated by a {_DELIMITERS[possible[0]]}, "
            f"--delimiter {_option(dialect.delimiter)} if it is one column."
        )
    return None


def _header(path: Path, dialect: Dialect) -> list[str | None]:
    """The cells of the header with a delimiter that is only tried; none if it cannot be read so."""
    try:
        return next((cells for _, cells in read_records(path, dialect) if cells), [])
    except InvalidInput:
        return []


def _is_regular(path: Path, dialect: Dialect) -> bool:
    """Whether there are rows, and all of the first ones are as wide as the header."""
    try:
        widths = [len(cells) for _, cells in _first_records(path, dialect)]
    except InvalidInput:
        return False
    return len(widths) > 1 and len(set(widths)) == 1


def _first_records(path: Path, dialect: Dialect) -> Iterator[Record]:
    """Those that are not blank, as many as may be held in memory."""
    cells = characters = 0
    records = (record for record in read_records(path, dialect) if record[1])
    for record in islice(records, _SAMPLE_RECORDS):
        yield record
        cells += len(record[1])
        characters += sum(len(cell or "") for cell in record[1])
        if cells > _SAMPLE_CELLS or characters > _SAMPLE_CHARACTERS:
            return


def _option(delimiter: str) -> str:
    return f"'{delimiter}'" if delimiter.isprintable() else _SPELLED.get(delimiter, rf"$'\x{ord(delimiter):02x}'")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and so on ({len(names)} columns)"
