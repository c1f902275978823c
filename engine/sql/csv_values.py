"""SQL for the cells and names of a CSV file, quoted by RFC 4180.

Quoting in SQL is faster than DuckDB's CSV writer, which checks each character and doubles quotes one by one.
"""

from engine.catalog.types import ColumnType, Family
from engine.common.quoting import literal
from engine.request.formats import DELIMITERS
from engine.request.literals import NUMBER_PATTERN
from engine.request.request import CsvOptions
from engine.request.text_casts import matches
from engine.sql.json_values import csv_text, json_text

_GUARD = literal("'")
_FORMULA_START = r"^[=+\-@\t\r]"
_GUARDED_NAME = "=+-@\t\r"
_SPECIAL = ("#", "\n", "\r")
"""Characters that are quoted besides quotes and the delimiter; some readers, such as DuckDB, treat # as a comment."""
_NEVER_QUOTED = {
    Family.INTEGER,
    Family.DECIMAL,
    Family.FLOAT,
    Family.BOOLEAN,
    Family.DATE,
    Family.TIMESTAMP,
    Family.TIME,
    Family.INTERVAL,
}
"""Families whose text is never empty and has no character that needs quotes."""


def csv_cell(column: str, type_: ColumnType, options: CsvOptions) -> str:
    """SQL for the text of a cell before quoting, NULL for a null; that of an object is quoted already."""
    if _is_object(type_):
        return _object(column, type_)
    text = _guarded(column, type_, options)
    return text if _is_never_quoted(type_) else f"CAST({text} AS VARCHAR)"


def quoted_cell(text: str, type_: ColumnType, options: CsvOptions) -> str:
    """SQL that quotes the text of a cell if necessary; NULL for a null. It refers to ``text`` more than once."""
    if _is_never_quoted(type_) or _is_object(type_):
        return text
    quote = literal('"')
    special = [f"contains({text}, {literal(c)})" for c in (DELIMITERS[options.delimiter], *_SPECIAL)]
    return (
        f"CASE WHEN contains({text}, {quote}) THEN concat({quote}, {_doubled(text)}, {quote}) "
        f"WHEN {text} = '' OR {' OR '.join(special)} THEN concat({quote}, {text}, {quote}) ELSE {text} END"
    )


def quoted_name(name: str, type_: ColumnType, options: CsvOptions) -> str:
    """The name of a column in the header, quoted if a cell of the column may be.

    DuckDB decides by the beginning of a file whether it has quotes; without one there, it fails at the first one.
    """
    if options.formula_guard and name[0] in _GUARDED_NAME:
        name = f"'{name}"
    special = ('"', DELIMITERS[options.delimiter], *_SPECIAL)
    quoted = not _is_never_quoted(type_) or any(character in name for character in special)
    return '"' + name.replace('"', '""') + '"' if quoted else name


def _guarded(cell: str, type_: ColumnType, options: CsvOptions) -> str:
    text = csv_text(cell, type_)
    if not options.formula_guard or type_.name == "UUID":
        return text
    match type_.family:
        case Family.FLOAT:
            # A spreadsheet reads numbers as such, but -Infinity as a formula.
            return f"CASE WHEN {cell} = CAST('-Infinity' AS {type_.name}) THEN {_GUARD} || '-Infinity' ELSE {text} END"
        case Family.TEXT:
            plain = f" AND NOT {matches(text, NUMBER_PATTERN)}"
        case Family.BINARY:
            plain = ""
        case Family.INTERVAL:
            text, plain = f"CAST({text} AS VARCHAR)", ""
        case _:
            return text
    starts = f"regexp_matches({text}, {literal(_FORMULA_START)})"
    return f"CASE WHEN {starts}{plain} THEN {_GUARD} || {text} ELSE {text} END"


def _is_never_quoted(type_: ColumnType) -> bool:
    return type_.family in _NEVER_QUOTED or type_.name == "UUID"


def _is_object(type_: ColumnType) -> bool:
    """Whether every cell has quotes in it, around the names of members."""
    return type_.family is Family.OBJECT and bool(type_.children)


def _object(cell: str, type_: ColumnType) -> str:
    """A quoted cell for an object. The quotes of its names are doubled once for all cells."""
    return _members(cell, type_, quote='"')


def _members(cell: str, type_: ColumnType, *, quote: str = "") -> str:
    texts = [literal(f"{quote}{{")]
    for number, (name, child) in enumerate(type_.children):
        comma = "," if number else ""
        # A constant expression, which DuckDB evaluates once.
        texts.append(f"{literal(comma)} || {_doubled(f'CAST(to_json({literal(name)}) AS VARCHAR)')} || ':'")
        texts.append(f"coalesce({_member(f'struct_extract({cell}, {literal(name)})', child)}, 'null')")
    return f"CASE WHEN {cell} IS NOT NULL THEN concat({', '.join(texts)}, {literal(f'}}{quote}')}) END"


def _member(cell: str, type_: ColumnType) -> str:
    """The JSON of a value with its quotes doubled; NULL for a null."""
    text = json_text(cell, type_)
    match type_.family:
        case Family.OBJECT if type_.children:
            return _members(cell, type_)
        case Family.INTEGER | Family.DECIMAL | Family.FLOAT | Family.BOOLEAN:
            return text
        case Family.TEXT if type_.name != "UUID":
            quoted = f"WHEN {cell} IS NOT NULL THEN concat('\"', {text}, '\"')"
            return f"CASE WHEN contains({cell}, '\"') THEN {_doubled(text)} {quoted} END"
    return _doubled(text)


def _doubled(text: str) -> str:
    return f"replace({text}, '\"', '\"\"')"
