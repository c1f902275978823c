"""Whether a cast keeps a value as it is: DuckDB's casts round, cut and guess where a publisher would want to be told.

Each function returns SQL that is false for a cell whose value the stored type would change, and true or null otherwise;
or None where no value can be changed.
"""

from engine.columns import JSON, TEXT, ColumnType, Family
from engine.quoting import literal
from engine.values import INSTANT_PATTERN, NUMBER_PATTERN

_DATE = r"\d{4}-\d{2}-\d{2}"
_FINER_THAN_STORED = r"\.\d{6}\d*[1-9]"
_WHOLE = ("BIGINT", "UBIGINT", "HUGEINT")


def keeps_text(cell: str, type_: ColumnType) -> str | None:
    """Of a CSV cell, or the text in a JSON value."""
    match type_.family:
        case Family.DATE:
            return _matches(cell, _DATE)
        case Family.TIMESTAMP:
            return f"({_matches(cell, INSTANT_PATTERN)} AND NOT regexp_matches({cell}, {literal(_FINER_THAN_STORED)}))"
        case Family.INTEGER:
            return _matches(cell, r"[+-]?\d+")
        case Family.FLOAT:
            return _matches(cell, rf"{NUMBER_PATTERN}|NaN|-?Infinity")
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
            spelled = keeps_text(f"({cell} ->> '$')", type_) or "TRUE"
            return f"({kind} = 'NULL' OR ({kind} IN ({_kinds(type_)}) AND {spelled}{_is_exact(cell, type_)}))"


def keeps_column(cell: str, type_: ColumnType) -> str:
    """Of a typed column: the law is that the value comes back."""
    return f"cast_to_type(CAST({cell} AS {type_.sql()}), {cell}) IS NOT DISTINCT FROM {cell}"


def _kinds(type_: ColumnType) -> str:
    """What a JSON value of the type may be; text is read in the type, as in a CSV cell."""
    kinds = {
        Family.INTEGER: _WHOLE,
        Family.DECIMAL: _WHOLE,
        Family.FLOAT: (*_WHOLE, "DOUBLE"),
        Family.BOOLEAN: ("BOOLEAN",),
    }.get(type_.family, ())
    return ", ".join(map(literal, (*kinds, "VARCHAR")))


def _is_exact(cell: str, type_: ColumnType) -> str:
    """A whole number that a DOUBLE would round is not exact."""
    if type_.family is not Family.FLOAT:
        return ""
    text = f"CAST({cell} AS VARCHAR)"
    rounded = f"TRY_CAST(TRY_CAST({text} AS DOUBLE) AS HUGEINT) IS DISTINCT FROM TRY_CAST({text} AS HUGEINT)"
    return f" AND NOT (regexp_full_match({text}, '-?[0-9]+') AND {rounded})"


def _matches(cell: str, pattern: str) -> str:
    return f"regexp_full_match({cell}, {literal(pattern)})"


def _path(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return literal(f'$."{escaped}"')
