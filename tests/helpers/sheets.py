"""A strict reader of xlsx files by the standard library, and which cell a value becomes (web/API.md, section 5)."""

import io
import math
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree as ET

from tests.helpers.format_oracle import text_of

PARTS = [
    "[Content_Types].xml",
    "_rels/.rels",
    "xl/workbook.xml",
    "xl/_rels/workbook.xml.rels",
    "xl/styles.xml",
    "xl/worksheets/sheet1.xml",
]
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
GENERAL, DAY, SECONDS, MILLISECONDS = 0, 1, 2, 3
_CODES = ["yyyy\\-mm\\-dd", "yyyy\\-mm\\-dd\\ hh:mm:ss", "yyyy\\-mm\\-dd\\ hh:mm:ss.000"]
_MILLISECONDS_A_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class SheetCell:
    """A cell: ``kind`` is n (number), b (boolean), s (text), or empty; ``style`` is one of the four above."""

    kind: str
    text: str = ""
    style: int = GENERAL


EMPTY = SheetCell("")


def read_sheet(content: bytes) -> list[list[SheetCell]]:
    """The header and the rows. Raises AssertionError or ParseError for what is not as expected."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        assert file.namelist() == PARTS
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        *others, sheet = (ET.fromstring(file.read(name)) for name in PARTS)
    assert [part.get("formatCode") for part in others[-1].iter(f"{_MAIN}numFmt")] == _CODES
    (data,) = sheet.iter(f"{_MAIN}sheetData")
    assert {row.tag for row in data} == {f"{_MAIN}row"}
    rows = [[_cell(cell) for cell in row] for row in data]
    assert len(set(map(len, rows))) == 1
    return rows


def _cell(cell: ET.Element) -> SheetCell:
    assert (cell.tag, cell.get("r")) == (f"{_MAIN}c", None)
    style = int(cell.get("s", "0"))
    if len(cell) == 0:
        assert cell.attrib in ({}, {"t": "str"}, {"s": "1"}, {"s": "2"})
        return EMPTY
    (child,) = cell
    if cell.get("t") == "inlineStr":
        assert child.tag == f"{_MAIN}is"
        (text,) = child
        found = text.text or ""
        # Excel drops blanks around the text otherwise; \r is escaped, so it is not a blank.
        assert text.get(_SPACE) == "preserve" or found == found.strip(" \t\n")
        return SheetCell("s", unescaped(found), style)
    assert child.tag == f"{_MAIN}v"
    return SheetCell(cell.get("t", "n"), child.text or "", style)


def unescaped(text: str) -> str:
    """The text of an ST_Xstring (ECMA-376, Part 1, 22.9.2.19): ``_xHHHH_`` is a UTF-16 code unit."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


def agrees(value: Any, cell: SheetCell) -> bool:
    """Whether a cell is right for a value in Python's own type."""
    match value:
        case None:
            return cell == EMPTY
        case bool():
            return cell == SheetCell("b", "1" if value else "0")
        case int():
            return cell == SheetCell("n" if len(str(abs(value))) <= 15 else "s", str(value))
        case Decimal():
            return cell.style == GENERAL and cell.kind == _decimal_kind(value) and Decimal(cell.text) == value
        case float() if math.isfinite(value):
            return (cell.kind, cell.style) == ("n", GENERAL) and float(cell.text) == value
        case float():
            return cell == SheetCell("s", "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")
        case datetime():
            moment = value.astimezone(UTC).replace(tzinfo=None)
            if moment.year < 1900 or moment.microsecond % 1000:
                return cell == SheetCell("s", text_of(value))
            return (
                cell.kind == "n"
                and cell.style == (MILLISECONDS if moment.microsecond else SECONDS)
                and (from_serial(cell.text) == moment)
            )
        case date() if value.year >= 1900:
            return (cell.kind, cell.style) == ("n", DAY) and from_serial(cell.text).date() == value
        case _:
            return cell == SheetCell("s", text_of(value))


def _decimal_kind(value: Decimal) -> str:
    """A number if it has at most 15 digits; zeros at the end of a fraction are none of it."""
    # By its text: abs() would round to the digits of the context.
    whole, _, fraction = format(value, "f").lstrip("-").partition(".")
    return "n" if len((whole + fraction.rstrip("0")).lstrip("0")) <= 15 else "s"


def from_serial(text: str) -> datetime:
    """The moment of a serial number in milliseconds; there is a 29 February 1900, number 60."""
    days = Fraction(text)
    first = datetime(1899, 12, 31) if days < 60 else datetime(1899, 12, 30)  # noqa: DTZ001  # as a sheet has it
    return first + timedelta(milliseconds=round(days * _MILLISECONDS_A_DAY))
