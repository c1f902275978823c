"""The statistics of a table's file: rows, and of top-level columns nulls and bounds, where the manifest has them."""

import json
from collections.abc import Callable, Sequence

from engine.catalog.manifest import ColumnStatistics, Run
from engine.catalog.schema import Reference

_BOUNDS: dict[str, Callable[[str], object]] = {
    "VARCHAR": str,
    "DATE": str,
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"), int),
}
"""How a bound in the manifest becomes JSON. Bounds of other types have another precision there, or another order."""


def statistics_of(run: Run) -> str:
    """The serialised statistics of a file with all rows of the run."""
    found: dict[str, dict[str, object]] = {"minValues": {}, "maxValues": {}, "nullCount": {}}
    groups = [(group.rows, group.statistics) for part in run.parts for group in part.row_groups]
    for column in run.table.columns:
        per_group = [(rows, one) for rows, columns in groups if (one := columns.get(column.path)) is not None]
        nulls = [one.nulls for _, one in per_group if one.nulls is not None]
        if len(nulls) == len(groups):
            found["nullCount"][column.path] = sum(nulls)
        bounds = _bounds(column, per_group) if len(per_group) == len(groups) else None
        if bounds is not None:
            found["minValues"][column.path], found["maxValues"][column.path] = bounds
    return json.dumps({"numRecords": run.rows, **found}, ensure_ascii=False, separators=(",", ":"))


def _bounds(column: Reference, groups: Sequence[tuple[int, ColumnStatistics]]) -> tuple[object, object] | None:
    """The least and the greatest value; None if they are unknown, or all cells are null."""
    convert = _BOUNDS.get(column.type.name)
    with_values = [one for rows, one in groups if one.nulls != rows]
    lows = [one.minimum for one in with_values if one.minimum is not None]
    highs = [one.maximum for one in with_values if one.maximum is not None]
    if convert is None or not lows or not len(lows) == len(highs) == len(with_values):
        return None
    return min(map(convert, lows)), max(map(convert, highs))  # type: ignore[type-var]  # all of one type
