"""Row groups that a request cannot match, by the bounds in the run's manifest: they are never opened.

Wherever a bound does not tell, a row group is kept; the filter itself decides on rows. So this may forget a chance,
but never a row.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from engine.catalog.manifest import ColumnStatistics, RowGroup
from engine.catalog.schema import Reference
from engine.catalog.types import ColumnType, Family
from engine.request.literals import Instant, float_value, read_boolean, read_instant, read_number, read_text, window
from engine.request.operators import Kind
from engine.request.request import Filter


@dataclass(frozen=True, slots=True)
class Wanted:
    """What cells must be: one of ``points``, which are in order, or between ``low`` and ``high`` where they are set."""

    path: str
    type: ColumnType
    points: tuple[Any, ...] | None = None
    low: Any = None
    high: Any = None

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
            return place < len(self.points) and self.points[place] <= maximum
        return (self.low is None or maximum >= self.low) and (self.high is None or minimum <= self.high)


@dataclass(frozen=True, slots=True)
class Nullness:
    """Only nulls are wanted, or none."""

    path: str
    null: bool

    def possible_in(self, group: RowGroup) -> bool:
        """Whether the row group may hold such a cell."""
        found = group.statistics.get(self.path)
        if found is None or found.nulls is None:
            return True
        return found.nulls > 0 if self.null else found.nulls < group.rows


Condition = Wanted | Nullness


def keep(groups: Sequence[RowGroup], conditions: Sequence[Condition]) -> tuple[bool, ...]:
    """Which row groups may match all conditions."""
    return tuple(all(condition.possible_in(group) for condition in conditions) for group in groups)


def condition_of(entry: Filter, column: Reference, now: datetime) -> Condition | None:
    """What a filter asks of the cells of its column, or None where bounds do not tell."""
    operator, family = entry.operator, column.type.family
    if operator.kind is Kind.NULLNESS and family not in (Family.LIST, Family.OBJECT, Family.MAP):
        return Nullness(column.path, null=operator.complement_of is None)
    reader = _READERS.get(family)
    if reader is None or operator.complement_of or column.type.name == "UUID":
        return None
    values = entry.value if isinstance(entry.value, tuple) else (entry.value,)
    match operator.kind:
        case Kind.EQUALITY | Kind.MEMBERSHIP:
            points = sorted(value for value in (reader(value, column.type) for value in values) if value is not None)
            return Wanted(column.path, column.type, points=tuple(points))
        case Kind.COMPARISON | Kind.SEQUENCE if family is not Family.TEXT:
            value = reader(entry.value, column.type)
            side = "low" if ">" in operator.sql else "high"
            return Wanted(column.path, column.type, **{side: value})
        case Kind.WINDOW if family is not Family.TEXT and isinstance(entry.value, int):
            first, last = (_moment(instant) for instant in window(entry.value, now))
            return Wanted(column.path, column.type, low=first, high=last)
        case _:
            return None


def _instant(value: object, _: ColumnType) -> datetime | None:
    read = read_instant(value)
    return None if read is None else _moment(read)


def _moment(instant: Instant) -> datetime:
    # Digits below the microsecond are dropped from a value, never from a cell: that is a lower bound either way.
    return instant.moment


def _float(value: object, type_: ColumnType) -> float | None:
    number = read_number(value)
    return None if number is None else float_value(number, type_)


_READERS: dict[Family, Callable[[object, ColumnType], Any]] = {
    Family.TEXT: lambda value, _: read_text(value),
    Family.BOOLEAN: lambda value, _: read_boolean(value),
    Family.INTEGER: lambda value, _: read_number(value),
    Family.DECIMAL: lambda value, _: read_number(value),
    Family.FLOAT: _float,
    Family.DATE: _instant,
    Family.TIMESTAMP: _instant,
}
"""How a filter's value is read, by the family of its column."""


def _midnight(text: str) -> datetime:
    day = date.fromisoformat(text)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


_BOUNDS: dict[Family, Callable[[str], Any]] = {
    Family.TEXT: str,
    Family.BOOLEAN: lambda text: text == "True",
    Family.INTEGER: Decimal,
    Family.DECIMAL: Decimal,
    Family.FLOAT: float,
    Family.DATE: _midnight,
    Family.TIMESTAMP: datetime.fromisoformat,
}
"""How a bound in a manifest is read back."""


def _bounds(found: ColumnStatistics, type_: ColumnType) -> tuple[Any, Any] | None:
    if found.minimum is None or found.maximum is None:
        return None
    read = _BOUNDS[type_.family]
    return read(found.minimum), read(found.maximum)
