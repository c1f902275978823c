"""Row groups that cannot hold a match, by the statistics in the run's manifest: they are never opened.

Where the statistics cannot decide, a row group is kept, and the predicate decides about its rows: pruning may read too
much, but it never loses a row.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from engine.catalog.manifest import ColumnStatistics, RowGroup
from engine.catalog.types import ColumnType, Family
from engine.plan.conditions import Condition
from engine.request.literals import Point
from engine.request.operators import Kind


@dataclass(frozen=True, slots=True)
class ValueBounds:
    """What a matching cell is: one of ``points`` (sorted), or between ``low`` and ``high`` where these are not None.

    The ends themselves match unless ``open``.
    """

    path: str
    type: ColumnType
    points: tuple[Any, ...] | None = None
    low: Any = None
    high: Any = None
    open: bool = False

    def possible_in(self, group: RowGroup) -> bool:
        """Whether the row group may hold such a cell."""
        found = group.statistics.get(self.path)
        if found is None:
            return True
        if found.nulls == group.rows:
            return False
        bounds = _bounds(found, self.type)
        if bounds is None:
            return True
        minimum, maximum = bounds
        if self.points is not None:
            place = bisect_left(self.points, minimum)
            return place < len(self.points) and bool(self.points[place] <= maximum)
        if self.open and (maximum == self.low or minimum == self.high):
            return False
        return (self.low is None or maximum >= self.low) and (self.high is None or minimum <= self.high)


@dataclass(frozen=True, slots=True)
class NullBounds:
    """Whether matching cells are null, or not null."""

    path: str
    null: bool

    def possible_in(self, group: RowGroup) -> bool:
        """Whether the row group may hold such a cell."""
        found = group.statistics.get(self.path)
        if found is None or found.nulls is None:
            return True
        return found.nulls > 0 if self.null else found.nulls < group.rows


Bounds = ValueBounds | NullBounds


def prune(groups: Sequence[RowGroup], bounds: Sequence[Bounds]) -> tuple[bool, ...]:
    """For each row group, whether it may hold rows that match all bounds."""
    return tuple(all(one.possible_in(group) for one in bounds) for group in groups)


def bounds_of(condition: Condition) -> Bounds | None:
    """What a condition says about the statistics of its column, or None where they cannot decide."""
    column, kind = condition.column, condition.operator.kind
    if kind is Kind.NULLNESS and column.type.family not in (Family.LIST, Family.OBJECT, Family.MAP):
        return NullBounds(column.path, null=not condition.negated)
    read = _STATISTICS.get(column.type.family)
    if read is None or condition.negated or condition.elementwise or column.type.name == "UUID":
        return None
    if kind in (Kind.EQUALITY, Kind.MEMBERSHIP):
        points = sorted(read(value) for value in _values(condition))
        return ValueBounds(column.path, column.type, points=tuple(points))
    if column.type.family is Family.TEXT:
        # Texts are compared as the numbers or moments that they spell, and bounds of texts say nothing about these.
        return None
    match kind:
        case Kind.COMPARISON | Kind.SEQUENCE:
            return _comparison(condition, read)
        case Kind.WINDOW:
            low, high = (None if point.text is None else read(point.text) for point in _values(condition))
            return ValueBounds(column.path, column.type, low=low, high=high)
        case _:
            return None


def _comparison(condition: Condition, read: Callable[[Any], Any]) -> ValueBounds:
    column, sql = condition.column, condition.operator.sql
    above, inclusive = ">" in sql, "=" in sql
    value = condition.value
    if isinstance(value, Point):
        if value.text is None:
            # Outside of all that the type can hold: all cells match, or none.
            points = None if above == (value.sign < 0) else ()
            return ValueBounds(column.path, column.type, points=points)
        if not value.exact:
            # The point is below the value.
            inclusive = not above
        value = value.text
    elif isinstance(value, float) and not isfinite(value):
        # A number beyond the end of the type, which infinite cells are compared with (`engine.plan.predicate`).
        inclusive = True
    end = read(value)
    low, high = (end, None) if above else (None, end)
    return ValueBounds(column.path, column.type, low=low, high=high, open=not inclusive)


def _values(condition: Condition) -> tuple[Any, ...]:
    return condition.value if isinstance(condition.value, tuple) else ()


def _midnight(text: str) -> datetime:
    day = date.fromisoformat(text)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


_STATISTICS: dict[Family, Callable[[Any], Any]] = {
    Family.TEXT: str,
    Family.BOOLEAN: lambda value: value in (True, "True"),
    Family.INTEGER: Decimal,
    Family.DECIMAL: Decimal,
    Family.FLOAT: float,
    Family.DATE: _midnight,
    Family.TIMESTAMP: datetime.fromisoformat,
}
"""How the statistics of a manifest, and the values of a condition, become values that can be compared."""


def _bounds(found: ColumnStatistics, type_: ColumnType) -> tuple[Any, Any] | None:
    if found.minimum is None or found.maximum is None:
        return None
    read = _STATISTICS[type_.family]
    return read(found.minimum), read(found.maximum)
