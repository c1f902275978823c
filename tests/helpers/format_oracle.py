"""Strict readers of CSV, with nulls apart from empty strings, and JSON, with exact numbers; and the text of values."""

import base64
import csv
import io
import json
import re
from dataclasses import dataclass
from datetime import date, datetime, time
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
    """Read lines of cells by RFC 4180, with LF between lines. Raises ValueError at the first byte that does not fit."""
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
    """Read lines of cells with Python's csv module."""
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def loads_exactly(text: str | bytes) -> Any:
    """Parse JSON with numbers as int and Decimal. Raises ValueError for duplicate names and what is not RFC 8259."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_members)


def is_compact(text: str) -> bool:
    """Whether JSON text has no whitespace between tokens."""
    return not re.search(r"\s", re.sub(r'"(?:[^"\\]|\\.)*+"', "", text))


def text_of(value: Any) -> str:
    """The text of a scalar in a CSV cell by web/API.md, section 5; some floats may have another valid text."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return f"{value.replace(tzinfo=None, microsecond=0).isoformat()}{_fraction(value)}Z"
        case time():
            return f"{value.replace(microsecond=0).isoformat()}{_fraction(value)}"
        case date():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)


def _fraction(value: datetime | time) -> str:
    return f".{value.microsecond:06}".rstrip("0") if value.microsecond else ""


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"an object has a name twice: {[name for name, _ in pairs]}")
    return found
