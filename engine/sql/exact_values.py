"""Refuses values of a statement's result that an export has no exact form of: DuckDB has more than the stored types."""

from typing import Any

from engine.common.quoting import identifier, literal

_TIMES = frozenset({"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"})


def exact(name: str, type_: Any, target: str) -> str:
    """SQL for a column as the type ``target``; reading a value that it cannot hold raises an error with the name.

    ``type_`` is DuckDB's type of the column.
    """
    cell = identifier(name)
    condition = _is_exact(cell, type_, 0)
    if condition is None:
        return f"CAST({cell} AS {target})"
    message = literal(
        f"The column {name} has a value that an export cannot hold exactly: infinity as a date, a year outside of 1 to "
        "9999, nanoseconds, or more than 38 digits. Cast it to VARCHAR."
    )
    return f"CASE WHEN {condition} IS NOT FALSE THEN CAST({cell} AS {target}) ELSE error({message}) END"


def _is_exact(cell: str, type_: Any, depth: int) -> str | None:
    """A condition that is false for a value that is not exact, or None if all values of the type are."""
    match type_.id:
        case "date":
            return f"{cell} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'"
        case "timestamp_ns":
            # The cast of infinity fails.
            whole = f"CAST(TRY_CAST({cell} AS TIMESTAMP) AS TIMESTAMP_NS)"
            return f"({cell} IS NULL OR (isfinite({cell}) AND coalesce({whole} = {cell}, FALSE)))"
        case "time_ns":
            return f"CAST(CAST({cell} AS TIME) AS TIME_NS) = {cell}"
        case "timestamptz_ns":
            moment = f"TRY_CAST({cell} AS TIMESTAMPTZ)"
            whole = f"isfinite({moment}) AND CAST({moment} AS TIMESTAMPTZ_NS) = {cell}"
            return f"({cell} IS NULL OR coalesce({whole}, FALSE))"
        case name if name in _TIMES:
            zone = "TIMESTAMPTZ" if name.endswith("zone") else "TIMESTAMP"
            first, last = (f"{zone} '{moment}'" for moment in ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"))
            return f"{cell} BETWEEN {first} AND {last}"
        case "hugeint" | "uhugeint":
            return f"({cell} IS NULL OR TRY_CAST({cell} AS DECIMAL(38,0)) IS NOT NULL)"
        case "list" | "array":
            return _all_exact(cell, type_.children[0][1], depth)
        case "map":
            children = dict(type_.children)
            found = [_all_exact(f"map_{part}s({cell})", children[part], depth) for part in ("key", "value")]
            return _both(found)
        case "struct":
            return _both(
                [_is_exact(f"struct_extract({cell}, {literal(name)})", child, depth) for name, child in type_.children]
            )
        case _:
            return None


def _all_exact(items: str, type_: Any, depth: int) -> str | None:
    item = f"_item{depth}"
    condition = _is_exact(item, type_, depth + 1)
    if condition is None:
        return None
    return f"len(list_filter({items}, lambda {item}: ({condition}) IS FALSE)) = 0"


def _both(conditions: list[str | None]) -> str | None:
    known = [f"({condition}) IS NOT FALSE" for condition in conditions if condition is not None]
    return " AND ".join(known) if known else None
