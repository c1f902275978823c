"""Whether a cast keeps a value as it is: DuckDB's casts round, cut and guess where a publisher would want to be told.

Each function returns SQL that is false for a cell whose value the stored type would change, and true or null otherwise;
or None where no value can be changed.
"""

from engine.catalog.types import JSON, TEXT, ColumnType, Family
from engine.common.quoting import literal
from engine.request.literals import INSTANT_PATTERN, NUMBER_PATTERN
from engine.request.text_casts import matches

_DATE = r"\d{4}-\d{2}-\d{2}"
_FINER_THAN_STORED = r"\.\d{6}\d*[1-9]"
_BOUNDS = {
    Family.DATE: ("0001-01-01", "9999-12-31"),
    Family.TIMESTAMP: ("0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"),
}
_WHOLE = ("BIGINT", "UBIGINT", "HUGEINT")


def keeps_text(cell: str, type_: ColumnType) -> str | None:
    """Of a CSV cell, or the text in a JSON value."""
    match type_.family:
        case Family.DATE:
            return matches(cell, _DATE)
        case Family.TIMESTAMP:
            return f"({matches(cell, INSTANT_PATTERN)} AND NOT regexp_matches({cell}, {literal(_FINER_THAN_STORED)}))"
        case Family.INTEGER:
            return matches(cell, r"[+-]?\d+")
        case Family.DECIMAL:
            # Digits beyond the scale would be rounded, unless they are zeros.
            return matches(cell, rf"[+-]?\d+(\.\d{{0,{type_.scale or 0}}}0*)?")
        case Family.FLOAT:
            return f"({cell} IN ('NaN', 'Infinity', '-Infinity') OR {_is_number(cell)})"
        case Family.BOOLEAN:
            return f"lower({cell}) IN ('true', 'false')"
        case _:
            return None


def keeps_json(cell: str, type_: ColumnType) -> str | None:
    """Of a JSON value."""
    if all(leaf in (TEXT, JSON) or leaf.children for leaf in type_.walk()):
        return None
    kind = f"json_type({cell})"
    match type_.family:
        case Family.OBJECT:
            members = [keeps_json(f"json_extract({cell}, {_path(name)})", child) for name, child in type_.children]
            holds = " AND ".join(["TRUE", *(f"coalesce({member}, TRUE)" for member in members if member)])
            return f"({kind} IN ('OBJECT', 'NULL') AND {holds})"
        case Family.LIST:
            variable = f"item_{cell.count('item_') + 1}"
            broken = f"list_filter(CAST({cell} AS JSON[]), lambda {variable}: NOT {keeps_json(variable, type_.item)})"
            return f"({kind} = 'NULL' OR len({broken}) = 0)"
        case _:
            # Numbers by their own digits: DuckDB's extraction reads them as doubles.
            text = f"(CASE {kind} WHEN 'VARCHAR' THEN {cell} ->> '$' ELSE CAST({cell} AS VARCHAR) END)"
            return f"({kind} = 'NULL' OR ({kind} IN ({_kinds(type_)}) AND {keeps_text(text, type_) or 'TRUE'}))"


def keeps_column(cell: str, read_as: str, type_: ColumnType) -> str:
    """Of a typed column, which DuckDB reads as ``read_as``: the law is that the value comes back."""
    return f"TRY_CAST(TRY_CAST({cell} AS {type_.sql()}) AS {read_as}) IS NOT DISTINCT FROM {cell}"


def within_calendar(cell: str, type_: ColumnType) -> str | None:
    """Of a value in its stored type: dates and moments are of the years 1 to 9999, the only ones that ISO 8601 spells.

    DuckDB's own calendar goes further in both directions, and knows infinities.
    """
    if not any(leaf.family in _BOUNDS for leaf in type_.walk()):
        return None
    if type_.family in _BOUNDS:
        first, last = _BOUNDS[type_.family]
        return f"({cell} BETWEEN CAST('{first}' AS {type_.sql()}) AND CAST('{last}' AS {type_.sql()}))"
    match type_.family:
        case Family.LIST:
            return _all_within(cell, type_.item)
        case Family.MAP:
            (_, key), (_, value) = type_.children
            parts = [_all_within(f"map_keys({cell})", key), _all_within(f"map_values({cell})", value)]
        case _:
            parts = [
                within_calendar(f"struct_extract({cell}, {literal(name)})", child) for name, child in type_.children
            ]
    return "(" + " AND ".join(f"coalesce({part}, TRUE)" for part in parts if part) + ")"


def _all_within(cells: str, type_: ColumnType) -> str | None:
    variable = f"moment_{cells.count('moment_') + 1}"
    within = within_calendar(variable, type_)
    return None if within is None else f"len(list_filter({cells}, lambda {variable}: NOT {within})) = 0"


def _kinds(type_: ColumnType) -> str:
    """What a JSON value of the type may be; text is read in the type, as in a CSV cell."""
    kinds = {
        Family.INTEGER: _WHOLE,
        Family.DECIMAL: _WHOLE,
        Family.FLOAT: (*_WHOLE, "DOUBLE"),
        Family.BOOLEAN: ("BOOLEAN",),
    }.get(type_.family, ())
    return ", ".join(map(literal, (*kinds, "VARCHAR")))


def _is_number(text: str) -> str:
    """A number within the DOUBLEs; a whole one that would be rounded is none, since it may be an identifier."""
    double, whole = f"TRY_CAST({text} AS DOUBLE)", f"TRY_CAST({text} AS HUGEINT)"
    exact = f"coalesce(TRY_CAST({double} AS HUGEINT) = {whole}, FALSE)"
    return (
        f"({matches(text, NUMBER_PATTERN)} AND isfinite({double}) AND (NOT {matches(text, '[+-]?[0-9]+')} OR {exact}))"
    )


def _path(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return literal(f'$."{escaped}"')
