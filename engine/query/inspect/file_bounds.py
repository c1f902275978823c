"""Column statistics of a file, computed from those of its row groups in the manifest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine.catalog.manifest import MAX_BOUND_LENGTH, Part
from engine.catalog.schema import Schema
from engine.catalog.types import ColumnType, Family

_SORT_KEYS: dict[Family, Callable[[str], Any]] = {
    Family.INTEGER: Decimal,
    Family.DECIMAL: Decimal,
    Family.FLOAT: float,
}
"""Sort keys of families whose statistics do not sort as text; those of dates, times and booleans do."""


@dataclass(frozen=True, slots=True)
class FileBounds:
    """Bounds of a column in a file, as text; None for what a row group has no statistics of.

    ``exact``: both are values of the column. Bounds of long text are cut, and an upper one is rounded up.
    """

    minimum: str | None
    maximum: str | None
    exact: bool
    nulls: int | None


def sort_keys(schema: Schema) -> dict[str, Callable[[str], Any]]:
    """The sort key of each column's statistics, by the column's path in a Parquet file."""
    return {
        path: _SORT_KEYS.get(type_.family, str) for field in schema for path, type_ in _leaves(field.name, field.type)
    }


def bounds_of_file(part: Part, keys: Mapping[str, Callable[[str], Any]]) -> dict[str, FileBounds]:
    """The bounds of each column of a file, by its path."""
    paths = dict.fromkeys(path for group in part.row_groups for path in group.statistics)
    return {path: _merged(part, path, keys.get(path, str)) for path in paths}


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


def _merged(part: Part, path: str, key: Callable[[str], Any]) -> FileBounds:
    statistics = [group.statistics.get(path) for group in part.row_groups]
    # A row group that has only nulls has no minimum and maximum, and does not change those of the file.
    with_values = [
        one for one, group in zip(statistics, part.row_groups, strict=True) if one is None or one.nulls != group.rows
    ]
    minimum = _extreme(min, [None if one is None else one.minimum for one in with_values], key)
    maximum = _extreme(max, [None if one is None else one.maximum for one in with_values], key)
    bounds = [bound for bound in (minimum, maximum) if bound is not None]
    return FileBounds(
        minimum=minimum,
        maximum=maximum,
        exact=len(bounds) == 2 and all(key is not str or len(bound) < MAX_BOUND_LENGTH for bound in bounds),
        nulls=_sum([None if one is None else one.nulls for one in statistics]),
    )


def _extreme(function: Callable[..., str], values: Sequence[str | None], key: Callable[[str], Any]) -> str | None:
    known = [value for value in values if value is not None]
    return function(known, key=key) if known and len(known) == len(values) else None


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
