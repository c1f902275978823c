"""Generated CSV files and their cells, with unusual delimiters, encodings, line ends, quotes, names and values."""

import csv
import io
from dataclasses import dataclass, field
from random import Random

from engine.publishing.options import ReadOptions

Cells = list[str | None]

_DELIMITERS = (",", ",", ",", ";", "\t", "|")
_ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252")
_NARROW = ("latin-1", "cp1252")
_PLAIN = ["a", "b", "x y", " ", "  ", "#", "0", "é", "'", "\\", "null", "NA", "=1", "%"]
_WIDE = ["😀", "Ω", "\u2028", "\0"]
_NAMES = ["id", "name", "a ", " a", "#", "é", "select", "x,y", 'say "hi"', "1", "true", "a.b", "two\nlines", "'", "c1"]
_KINDS: dict[str, list[str]] = {
    "integer": ["0", "1", "-5", "42", "9223372036854775807", "-9223372036854775808"],
    "almost integer": ["7", "007", "+7", "-0", "9223372036854775808", "1_000", " 7", "7 "],
    "decimal": ["1.50", "0.00", "-12.25", "99999999.99"],
    "almost decimal": ["1.50", "-0.00", ".50", "00.50", "1.5", "1.500"],
    "long decimal": ["12345678901234567890.123456", "0.000001", "-1.500000"],
    "double": ["0.5", "1.0", "-2.25", "1e300", "5e-324", "0.1", "123456.789"],
    "almost double": ["0.5", "-0.0", "1e5", "NaN", "Infinity", "0.10", "1E300", "0.30000000000000004", "1.", "1e-7"],
    "boolean": ["true", "false"],
    "almost boolean": ["true", "TRUE", "t", "1", "yes"],
    "date": ["2026-01-31", "0001-01-01", "9999-12-31", "2024-02-29"],
    "almost date": ["2026-01-31", "2026-1-31", "2023-02-29", "10000-01-01", "0000-01-01", "2026-01-31 ", "infinity"],
    "moment": ["2026-01-31T10:04:05Z", "1969-12-31T23:59:59.5Z", "2026-01-31T00:00:00.000001Z"],
    "almost moment": ["2026-01-31T10:04:05Z", "2026-01-31T10:04:05.50Z", "2026-01-31 10:04:05", "2026-01-31T24:00:00Z"],
}


@dataclass
class CsvCase:
    """A file, the options to read it, and its cells; ``rows`` is None if it must be refused."""

    content: bytes
    options: ReadOptions
    header: list[str]
    rows: list[Cells] | None
    named: str = ""
    """What the message of a refusal must contain."""
    extension: str = ".csv"
    kinds: list[str] = field(default_factory=list)


def csv_case(chance: Random) -> CsvCase:
    """Generate a random file."""
    delimiter, encoding = chance.choice(_DELIMITERS), chance.choice(_ENCODINGS)
    newline = chance.choice(["\n", "\n", "\r\n", "\r\n", "\r", "mixed"])
    width = chance.choice([1, 2, 2, 3, 5, 9])
    names = chance.sample(_NAMES, width)
    atoms = [*_PLAIN, "," if delimiter != "," else ";"] + ([] if encoding in _NARROW else _WIDE[:3])
    if encoding not in _NARROW and chance.random() < 0.1:
        atoms.append(_WIDE[3])
    kinds = [chance.choice(["text", "text", *_KINDS]) for _ in names]
    null = "NA" if chance.random() < 0.2 else None
    rows: list[Cells] = []
    lines = [delimiter.join(_written(name, delimiter, chance) for name in names)]
    for _ in range(chance.choice([0, 1, 2, 5, 40])):
        cells = [_cell(kind, atoms, delimiter, chance) for kind in kinds]
        written = []
        for index, cell in enumerate(cells):
            text = "" if cell is None else _written(cell, delimiter, chance)
            if text == "" or text == null:
                cells[index] = None
            written.append(text)
        rows.append(cells)
        lines.append(delimiter.join(written))
        if width > 1 and chance.random() < 0.03:
            lines.append("")
    case = CsvCase(b"", ReadOptions(), names, rows, kinds=kinds)
    distorts = width > 1 and len(rows) > 1 and chance.random() < 0.15
    padded = distorts and _distorted(case, lines, delimiter, chance)
    ends = [chance.choice(["\n", "\r\n", "\r"]) if newline == "mixed" else newline for _ in lines]
    for index, line in enumerate(lines):
        if line == "" and ends[index - 1] == "\r":
            # With a line feed, this line would be the end of the one before.
            ends[index] = "\r"
    if chance.random() < 0.3 and lines[-1]:
        ends[-1] = ""
    before = "\n" * chance.choice([0, 0, 0, 1, 3])
    skipped = chance.choice([0, 0, 0, 0, 2])
    before = "".join(f"# preamble {number}\n" for number in range(skipped)) + before
    case.content = (before + "".join(map("".join, zip(lines, ends, strict=True)))).encode(encoding)
    # A tab is usual in one kind of file; there a header of one column with a comma is refused without --delimiter.
    if delimiter == "\t" and width > 1 and chance.random() < 0.5:
        case.extension, stated = ".tsv", None
    else:
        stated = delimiter
    known = encoding in ("utf-8", "utf-8-sig", "utf-16")
    case.options = ReadOptions(
        delimiter=stated,
        encoding=None if known else encoding,
        skip_lines=skipped,
        null=null,
        pad_short_rows=padded,
    )
    return case


def python_rows(case: CsvCase, encoding: str) -> list[list[str]]:
    """What Python's csv module reads, without blank lines; it has no nulls."""
    lines = io.StringIO(case.content.decode(encoding), newline="")
    for _ in range(case.options.skip_lines):
        lines.readline()
    delimiter = case.options.delimiter or ("\t" if case.extension == ".tsv" else ",")
    return [row for row in csv.reader(lines, delimiter=delimiter) if row]


def _cell(kind: str, atoms: list[str], delimiter: str, chance: Random) -> str | None:
    if chance.random() < 0.15:
        return None
    if kind != "text":
        return chance.choice(_KINDS[kind])
    if chance.random() < 0.3:
        atoms = [*atoms, delimiter, '"', "\n", "\r\n", "\r"]
    return "".join(chance.choice(atoms) for _ in range(chance.randrange(5)))


def _written(cell: str, delimiter: str, chance: Random) -> str:
    """Write a cell, in quotes if necessary, and sometimes if not."""
    needs = cell == "" or cell[0] == '"' or any(special in cell for special in (delimiter, "\n", "\r"))
    if not needs and chance.random() < 0.8:
        return cell
    return '"' + cell.replace('"', '""') + '"'


def _distorted(case: CsvCase, lines: list[str], delimiter: str, chance: Random) -> bool:
    """Damage one line, so that the file is refused or the line padded; return whether it is refused."""
    assert case.rows is not None
    what = chance.choice(["short", "padded", "long", "null too many", "unclosed", "after quote"])
    if what == "padded":
        lines.append("x")
        case.rows.append(["x", *[None] * (len(case.header) - 1)])
        return True
    case.rows = None
    match what:
        case "short":
            lines.append("x")
            case.named = "--pad-short-rows"
        case "long":
            lines.append(delimiter.join(["x"] * (len(case.header) + 1)))
        case "null too many":
            lines.append(delimiter.join(["x"] * len(case.header)) + delimiter)
        case "unclosed":
            lines.append(delimiter.join(["x"] * (len(case.header) - 1)) + delimiter + '"x')
            case.named = "--escape"
        case _:
            lines.append(delimiter.join(["x"] * (len(case.header) - 1)) + delimiter + '"x"y')
            case.named = "--escape"
    return False
