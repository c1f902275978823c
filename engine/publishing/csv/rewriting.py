"""A CSV file written anew in a form that `engine.publishing.csv.rows` reads, or refused with what is wrong in it.

UTF-8 and LF, no header, each cell in quotes but nulls, and a second, empty cell where there is one column, so that no
line is blank. It is written line by line into the session's spill folder, for files that cannot be read in their place.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from engine.errors import InvalidInput
from engine.publishing.csv.header import Header
from engine.publishing.csv.records import Record, read_records

_SHOWN_PROBLEMS = 5
_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The new file."""

    path: Path
    longest_row: int
    """Bytes."""
    rows: int


def rewrite(path: Path, header: Header, target: Path, *, pad_short_rows: bool) -> Rewritten:
    """Write the rows of a file. Raises InvalidInput, which names the lines and the option that helps."""
    width, longest, rows = len(header.names), 0, 0
    bad: list[Record] = []
    with target.open("wb") as file:
        for line, cells in read_records(path, header.dialect):
            if line <= header.line or (not cells and width > 1):
                continue
            if len(cells) != width:
                if (pad_short_rows and len(cells) < width) or not cells:
                    cells = [*cells, *[None] * (width - len(cells))]
                else:
                    bad.append((line, cells))
                    if len(bad) == _SHOWN_PROBLEMS:
                        break
                    continue
            written = ["" if cell is None else f'"{cell.replace(_QUOTE, _DOUBLED)}"' for cell in cells]
            row = (",".join(written if width > 1 else [*written, ""]) + "\n").encode()
            file.write(row)
            longest, rows = max(longest, len(row)), rows + 1
    if bad:
        raise InvalidInput(_ragged(path, header, bad))
    return Rewritten(target, longest, rows)


_QUOTE, _DOUBLED = '"', '""'


def _ragged(path: Path, header: Header, bad: list[Record]) -> str:
    (line, cells), *others = bad
    width = len(header.names)
    also = f" (also lines {', '.join(f'{other:,}' for other, _ in others)})" if others else ""
    found = (
        f"{path.name}, line {line:,}: {_cells(len(cells))} where the header in line {header.line:,} has {width}{also}."
    )
    records = list(islice((record for record in read_records(path, header.dialect) if record[1]), _LOOKED_AT))
    if _lacks_a_name(records):
        return (
            f"{found} So has each row: name the first column, which R's write.table does not, remove the delimiter at "
            "the ends of lines, or quote the cells that hold it. If the header is in the next line, use "
            f"--skip-lines {header.line}."
        )
    first = _first_line_of_table(records, width)
    if first is not None:
        return f"{found} If the table begins in line {first:,}, use --skip-lines {first - 1}."
    if all(len(cells) < width for _, cells in bad):
        return f"{found} Use --pad-short-rows to fill short rows with nulls."
    return (
        f"{found} A cell that holds the delimiter has to be in quotes; if the file has another delimiter, state "
        "it with --delimiter."
    )


def _lacks_a_name(records: list[Record]) -> bool:
    """Whether each of several rows has one cell more than a header of several names."""
    (_, names), *rows = records
    return len(names) > 1 and len(rows) > 1 and all(names) and {len(cells) for _, cells in rows} == {len(names) + 1}


def _first_line_of_table(records: list[Record], names: int) -> int | None:
    """The line after a preamble, if most rows are wider than the ``names`` of what was read as the header."""
    widths = [len(cells) for _, cells in records]
    # All rows from one on, or most of them.
    last = widths[-1]
    tail = next((index + 1 for index in range(len(widths) - 1, -1, -1) if widths[index] != last), 0)
    width, count = Counter(widths).most_common(1)[0]
    if last > names and len(widths) - tail > 1:
        return records[tail][0]
    if width > names and 2 * count > len(widths):
        return records[widths.index(width)][0]
    return None


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
