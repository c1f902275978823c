"""Files read by the letter of their formats: CSV with nulls and empty strings apart, JSON with exact numbers."""

import csv
import io
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

BOM = b"\xef\xbb\xbf"
csv.field_size_limit(2**24)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a CSV file."""

    text: str
    quoted: bool


def scan_csv(content: bytes, delimiter: str = ",") -> list[list[Cell]]:
    """Lines of cells by RFC 4180 with LF alone between lines; raises ValueError at the first byte that is not so."""
    text = content.decode()
    token = re.compile(rf'(?:"((?:[^"]|"")*+)"|([^"\r\n{delimiter}]*+))([\n{delimiter}])')
    lines: list[list[Cell]] = [[]]
    position = 0
    while position < len(text):
        found = token.match(text, position)
        if found is None:
            raise ValueError(f"no cell at character {position}: {text[position : position + 40]!r}")
        quoted, plain, end = found.groups()
        lines[-1].append(Cell(plain, quoted=False) if quoted is None else Cell(quoted.replace('""', '"'), quoted=True))
        if end == "\n":
            lines.append([])
        position = found.end()
    if lines.pop():
        raise ValueError("the last line has no end")
    if [[cell.text for cell in line] for line in lines] != read_csv(text, delimiter):
        raise ValueError("Python's reader sees other cells")
    return lines


def read_csv(text: str, delimiter: str = ",") -> list[list[str]]:
    """Lines of cells as Python's own reader sees them."""
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def loads_exactly(text: str | bytes) -> Any:
    """JSON with numbers as int and Decimal; raises ValueError for what RFC 8259 does not have, and for a name twice."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_members)


def is_compact(text: str) -> bool:
    """Whether JSON text has no blanks between its signs."""
    return not re.search(r"\s", re.sub(r'"(?:[^"\\]|\\.)*+"', "", text))


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"an object has a name twice: {[name for name, _ in pairs]}")
    return found
