"""Find row groups that cannot have a matching row, or have no other, by the column statistics in the run's manifest.

Where the statistics cannot decide, the row group is read and the predicate filters its rows: pruning may read too much,
but it never loses a row, and takes no other for a match.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from engine.catalog.manifest import RowGroup
from engine.catalog.types import ColumnType, Family
from engine.plan.conditions import Condition
from engine.request.literals import Point
from engine.request.operators import OperatorKind


@dataclass(frozen=True, slots=True)
class ValueBounds:
    """What a matching cell is: one of ``points`` (sorted), or between ``low`` and ``high``, of which None is no bound.

    ``low`` and ``high`` themselves match unless ``open``.
    """

    path: str
    type: ColumnType
    points: tuple[Any, ...] | None = None
    low: Any = None
    high: Any = None
    open: bool = False

    def possible_in(self, group: RowGroup) -> bool:
        """Whether the row group may have such a cell."""
        statistics = group.statistics.get(self.path)
        if statistics is None:
            return True
        if statistics.nulls == group.rows:
            return False
        if statistics.minimum is None or statistics.maximum is None:
            return True
        convert = _CONVERTERS[self.type.family]
        minimum, maximum = convert(statistics.minimum), convert(statistics.maximum)
        if self.points is not None:
            index = bisect_left(self.points, minimum)
            return index < len(self.points) and bool(self.points[index] <= maximum)
        if self.open and (maximum == self.low or minimum == self.high):
            return False
        return (self.low is None or maximum >= self.low) and (self.high is None or minimum <= self.high)

    def certain_in(self, group: RowGroup) -> bool:
        """Whether all cells of the row group are known to match."""
        statistics = group.statistics.get(self.path)
        if statistics is None or statistics.nulls != 0:
            return False
        if self.points is self.low is self.high is None:
            return True
        if statistics.minimum is None or statistics.maximum is None:
            return False
        convert = _CONVERTERS[self.type.family]
        minimum, maximum = convert(statistics.minimum), convert(statistics.maximum)
        if self.points is not None:
            # Bounds may be rounded, but cells between two equal ones are known.
            return bool(minimum == maximum) and self.possible_in(group)
        if self.open and (minimum == self.low or maximum == self.high):
            return False
        # With NaN as a bound, the second comparison is false.
        return bool((self.low is None or minimum >= self.low) and minimum <= maximum) and (
            self.high is None or bool(maximum <= self.high)
        )


@dataclass(frozen=True, slots=True)
class NullBounds:
    """Whether matching cells are null, or not null."""

    path: str
    null: bool

    def possible_in(self, group: RowGroup) -> bool:
        """Whether the row group may have such a cell."""
        statistics = group.statistics.get(self.path)
        if statistics is None or statistics.nulls is None:
            return True
        return statistics.nulls > 0 if self.null else statistics.nulls < group.rows

    def certain_in(self, group: RowGroup) -> bool:
        """Whether all cells of the row group are known to match."""
        statistics = group.statistics.get(self.path)
        return statistics is not None and statistics.nulls == (group.rows if self.null else 0)


Bounds = ValueBounds | NullBounds


def prune(groups: Sequence[RowGroup], bounds: Sequence[Bounds]) -> tuple[bool, ...]:
    """For each row group, whether it may have rows that match all bounds."""
    return tuple(all(one.possible_in(group) for one in bounds) for group in groups)


def bounds_for(condition: Condition) -> Bounds | None:
    """The bounds of cells that match a condition, and of no others; None if column statistics cannot decide it.

    NaN is within no bounds of a condition, though it is greater than every number.
    """
    column, kind = condition.column, condition.operator.kind
    if kind is OperatorKind.NULL_CHECK and column.type.family not in (Family.LIST, Family.OBJECT, Family.MAP):
        return NullBounds(column.path, null=not condition.negated)
    convert = _CONVERTERS.get(column.type.family)
    if convert is None or condition.negated or condition.elementwise or column.type.name == "UUID":
        return None
    if kind in (OperatorKind.EQUALITY, OperatorKind.MEMBERSHIP):
        points = sorted(convert(value) for value in _values(condition))
        return ValueBounds(column.path, column.type, points=tuple(points))
    if column.type.family is Family.TEXT:
        # Text is compared as the number or date that it spells; its statistics are in the order of code points.
        return None
    match kind:
        case OperatorKind.COMPARISON | OperatorKind.DATE_COMPARISON:
            return _comparison(condition, convert)
        case OperatorKind.DATE_RANGE:
            low, high = (None if point.text is None else convert(point.text) for point in _values(condition))
            return ValueBounds(column.path, column.type, low=low, high=high)
        case _:
            return None


def _comparison(condition: Condition, convert: Callable[[Any], Any]) -> ValueBounds:
    column, sql = condition.column, condition.operator.sql
    above, inclusive = ">" in sql, "=" in sql
    value = condition.value
    if isinstance(value, Point):
        if value.text is None:
            # Beyond the type's range: all cells match, or none.
            points = None if above == (value.sign < 0) else ()
            return ValueBounds(column.path, column.type, points=points)
        if not value.exact:
            # The point is just below the value.
            inclusive = not above
        value = value.text
    elif isinstance(value, float) and not isfinite(value):
        # Beyond the type's range: infinite cells are compared with it (`engine.plan.predicate`).
        inclusive = above == (value > 0)
    end = convert(value)
    low, high = (end, None) if above else (None, end)
    return ValueBounds(column.path, column.type, low=low, high=high, open=not inclusive)


def _values(condition: Condition) -> tuple[Any, ...]:
    return condition.value if isinstance(condition.value, tuple) else ()


def _midnight(text: str) -> datetime:
    day = date.fromisoformat(text)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


_CONVERTERS: dict[Family, Callable[[Any], Any]] = {
    Family.TEXT: str,
    Family.BOOLEAN: lambda value: value in (True, "True"),
    Family.INTEGER: Decimal,
    Family.DECIMAL: Decimal,
    Family.FLOAT: float,
    Family.DATE: _midnight,
    Family.TIMESTAMP: datetime.fromisoformat,
}
"""Convert the statistics of a manifest, and the values of a condition, to values that compare as in DuckDB."""
