"""SQL for the cells of a sheet in an xlsx file (ECMA-376, Part 1, 18.3.1.4 and 22.9.2.19).

A number, boolean or date is a cell of its type if a reader gets the same value from it; everything else is text. Cells
have no references such as ``A1``: they are optional, and a range of rows does not know how many rows come before it.
"""

from collections.abc import Iterable, Mapping

from engine.catalog.schema import Field
from engine.catalog.types import INTEGER_BITS, ColumnType, Family
from engine.common.quoting import literal
from engine.request.formats import MAX_CELL_UNITS
from engine.sql.json_values import csv_text

MAX_DIGITS = 15
"""Digits that Excel keeps of a number; every decimal number of so many has a double of its own."""

DATE_STYLE, SECONDS_STYLE, MILLISECONDS_STYLE = 1, 2, 3
"""The cell formats of dates and moments, by their place in the table of the workbook."""

CELL_TOO_LONG = f"A cell has more than {MAX_CELL_UNITS:,} UTF-16 code units, the maximum in xlsx; its column is "
"""The beginning of DuckDB's error for such a cell; the name of its column follows."""

_DAY = 86_400_000
_EPOCH_OFFSET = 25_569 * _DAY
"""Milliseconds from serial number 0, 1899-12-30, to 1970."""
_LEAP_BUG_END = "1900-03-01"
"""Excel has a 29 February 1900, so the serial numbers of the days before it count from 1899-12-31."""

MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": "&#10;", "\t": "&#9;"}
"""What is special in XML. Newlines and tabs, too: no byte below 32 is left but for characters that XML forbids."""
_ESCAPED = {"\r": "_x000D_", "\ufffe": "_xFFFE_", "\uffff": "_xFFFF_"}
"""Characters that XML forbids, or would change. `engine.execute.xlsx.deflate` escapes the other control characters."""
_LOOKS_ESCAPED = r"_x[0-9A-Fa-f]{4}(_|[\x00-\x08\x0b-\x1f\x{FFFE}\x{FFFF}])"
"""Text that would be read as an escaped character; an escaped one that follows begins with an underscore, too."""


def cell_content(cell: str, type_: ColumnType) -> str:
    """SQL for what the other functions take as ``content``: the text of a cell that is always text, or the cell."""
    return f"CAST({csv_text(cell, type_)} AS VARCHAR)" if _is_text(type_) else cell


def xlsx_cell(content: str, field: Field) -> str:
    """SQL for the XML of a cell. It refers to ``content`` more than once, and raises `CELL_TOO_LONG`."""
    return f"CASE WHEN {content} IS NULL THEN {literal(_empty(field.type))} {_cell(content, field)} END"


def is_too_long(content: str, type_: ColumnType) -> str | None:
    """A condition that is true for a cell with more than `MAX_CELL_UNITS`; None if the type has no such cells."""
    if not _is_text(type_):
        return None
    # A text has no more UTF-16 units than bytes. A character beyond the first 65,536 has two.
    units = rf"length({content}) + length(regexp_replace({content}, '[^\x{{10000}}-\x{{10FFFF}}]', '', 'g'))"
    return f"CASE WHEN strlen({content}) > {MAX_CELL_UNITS} THEN {units} > {MAX_CELL_UNITS} ELSE FALSE END"


def _empty(type_: ColumnType) -> str:
    """An empty cell of the type: by the first cell, DuckDB's reader decides on the type of a column."""
    styles = {Family.DATE: DATE_STYLE, Family.TIMESTAMP: SECONDS_STYLE}
    return '<c t="str"/>' if _is_text(type_) else f"<c{_style(styles.get(type_.family, 0))}/>"


def _is_text(type_: ColumnType) -> bool:
    return type_.family in {
        Family.TEXT,
        Family.TIME,
        Family.INTERVAL,
        Family.BINARY,
        Family.JSON,
        Family.LIST,
        Family.OBJECT,
        Family.MAP,
    }


def _cell(content: str, field: Field) -> str:
    """The branches of a CASE for a cell that is not null."""
    plain = _plain_text(f"CAST({csv_text(content, field.type)} AS VARCHAR)")
    match field.type.family:
        case Family.INTEGER:
            number = _number(content)
            if INTEGER_BITS[field.type.name][0] <= 32:
                return f"ELSE {number}"
            return f"WHEN {content} BETWEEN -{'9' * MAX_DIGITS} AND {'9' * MAX_DIGITS} THEN {number} ELSE {plain}"
        case Family.DECIMAL:
            number = _number(csv_text(content, field.type))
            if (field.type.precision or 0) <= MAX_DIGITS:
                return f"ELSE {number}"
            return f"WHEN {_digits(content, field.type)} <= {MAX_DIGITS} THEN {number} ELSE {plain}"
        case Family.FLOAT:
            return f"WHEN isfinite({content}) THEN {_number(csv_text(content, field.type))} ELSE {plain}"
        case Family.BOOLEAN:
            return f"""WHEN {content} THEN '<c t="b"><v>1</v></c>' ELSE '<c t="b"><v>0</v></c>'"""
        case Family.DATE:
            return f"{_date(content)} ELSE {plain}"
        case Family.TIMESTAMP:
            return f"{_moment(content)} ELSE {plain}"
    too_long = is_too_long(content, field.type)
    return f"WHEN {too_long} THEN error({literal(CELL_TOO_LONG + field.name)}) ELSE {_text(content)}"


def _number(value: str, style: int = 0) -> str:
    return f"concat('<c{_style(style)}><v>', {value}, '</v></c>')"


def _style(number: int) -> str:
    return f' s="{number}"' if number else ""


def _digits(content: str, type_: ColumnType) -> str:
    """The digits of a decimal number, without zeros that it has for its type alone."""
    text = f"CAST({content} AS VARCHAR)"
    text = f"rtrim({text}, '0')" if type_.scale else text
    return f"length(ltrim(translate({text}, '-.', ''), '0'))"


def _date(content: str) -> str:
    late, early = (f"{content} - DATE '{day}'" for day in ("1899-12-30", "1899-12-31"))
    return (
        f"WHEN {content} >= DATE '{_LEAP_BUG_END}' THEN {_number(late, DATE_STYLE)} "
        f"WHEN {content} >= DATE '1900-01-01' THEN {_number(early, DATE_STYLE)}"
    )


def _moment(content: str) -> str:
    """A moment in whole milliseconds since 1900; its number is the double nearest to its days."""
    after = f"{content} >= TIMESTAMPTZ '{_LEAP_BUG_END} 00:00:00+00'"
    offset = f"CASE WHEN {after} THEN {_EPOCH_OFFSET} ELSE {_EPOCH_OFFSET - _DAY} END"
    serial = f"CAST(to_json(CAST(epoch_ms({content}) + {offset} AS DOUBLE) / {_DAY}) AS VARCHAR)"
    since = f"{content} >= TIMESTAMPTZ '1900-01-01 00:00:00+00' AND epoch_us({content})"
    return (
        f"WHEN {since} % 1000000 = 0 THEN {_number(serial, SECONDS_STYLE)} "
        f"WHEN {since} % 1000 = 0 THEN {_number(serial, MILLISECONDS_STYLE)}"
    )


def _plain_text(text: str) -> str:
    return f"""concat('<c t="inlineStr"><is><t>', {text}, '</t></is></c>')"""


def _text(content: str) -> str:
    """An inline string. Excel drops blanks around the text unless they are to be preserved."""
    blanks = " OR ".join(f"{where}({content}, {literal(c)})" for where in ("prefix", "suffix") for c in " \n\t")
    space = f"""CASE WHEN {blanks} THEN ' xml:space="preserve">' ELSE '>' END"""
    return f"""concat('<c t="inlineStr"><is><t', {space}, {_escaped(content)}, '</t></is></c>')"""


def _escaped(content: str) -> str:
    unambiguous = (
        f"CASE WHEN regexp_matches({content}, {literal(_LOOKS_ESCAPED)}) THEN replace({content}, '_x', '_x005F_x') "
        f"ELSE {content} END"
    )
    is_rare = _contains_any(content, ("_x", *_ESCAPED))
    rare = f"CASE WHEN {is_rare} THEN {_replaced(unambiguous, _ESCAPED)} ELSE {content} END"
    return f"CASE WHEN {_contains_any(content, MARKUP)} THEN {_replaced(rare, MARKUP)} ELSE {rare} END"


def _contains_any(text: str, parts: Iterable[str]) -> str:
    return " OR ".join(f"contains({text}, {literal(part)})" for part in parts)


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for part, replacement in replacements.items():
        text = f"replace({text}, {literal(part)}, {literal(replacement)})"
    return text
