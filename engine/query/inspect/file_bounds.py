"""Bounds of a whole file, from those of its row groups in the manifest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.catalog.manifest import ColumnStatistics, Part
from engine.catalog.schema import Schema
from engine.catalog.types import ColumnType, Family

_ORDERS: dict[Family, Callable[[str], Any]] = {
    Family.INTEGER: Decimal,
    Family.DECIMAL: Decimal,
    Family.FLOAT: float,
}
"""How bounds compare where it is not as text; dates, times and booleans are written so that it is."""


def orders_of(schema: Schema) -> dict[str, Callable[[str], Any]]:
    """How the bounds of each column compare, by its path in a Parquet file."""
    return {path: _ORDERS.get(type_.family, str) for field in schema for path, type_ in _leaves(field.name, field.type)}


def bounds_of(part: Part, orders: Mapping[str, Callable[[str], Any]]) -> dict[str, ColumnStatistics]:
    """Minimum, maximum and nulls of each column in the file; None where a row group does not tell."""
    paths = dict.fromkeys(path for group in part.row_groups for path in group.statistics)
    return {path: _joined(part, path, orders.get(path, str)) for path in paths}


def _leaves(path: str, type_: ColumnType) -> Iterator[tuple[str, ColumnType]]:
    match type_.family:
        case Family.OBJECT:
            for name, child in type_.children:
                yield from _leaves(f"{path}.{name}", child)
        case Family.LIST:
            yield from _leaves(f"{path}.list.element", type_.item)
        case Family.MAP:
            for name, (_, child) in zip(("key", "value"), type_.children, strict=True):
                yield from _leaves(f"{path}.key_value.{name}", child)
        case _:
            yield path, type_


def _joined(part: Part, path: str, order: Callable[[str], Any]) -> ColumnStatistics:
    found = [group.statistics.get(path) for group in part.row_groups]
    # A row group of nulls alone has no bounds, and takes nothing from those of the others.
    telling = [
        statistics
        for statistics, group in zip(found, part.row_groups, strict=True)
        if statistics is None or statistics.nulls != group.rows
    ]
    return ColumnStatistics(
        minimum=_extreme(min, [None if one is None else one.minimum for one in telling], order),
        maximum=_extreme(max, [None if one is None else one.maximum for one in telling], order),
        nulls=_sum([None if one is None else one.nulls for one in found]),
    )


def _extreme(which: Callable[..., str], bounds: Sequence[str | None], order: Callable[[str], Any]) -> str | None:
    known = [bound for bound in bounds if bound is not None]
    return which(known, key=order) if known and len(known) == len(bounds) else None


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
