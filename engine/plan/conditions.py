"""The filters of a request, each value read once, in the type of its column (web/API.md, section 4).

The SQL predicate, the pruning of row groups and ``tailrace explain`` all work on these conditions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import TypeVar

from engine.catalog.schema import Reference
from engine.catalog.types import DOUBLE, TIMESTAMP, ColumnType, Family
from engine.errors import InvalidFilter
from engine.request.literals import (
    Point,
    float_value,
    instant_point,
    number_point,
    read_boolean,
    read_instant,
    read_number,
    read_text,
    window,
)
from engine.request.operators import ELEMENTWISE, FAMILIES_OF, OPERATORS, Kind, Operator, operators_of
from engine.request.request import Filter

_Read = TypeVar("_Read")

ExactValues = tuple[str | bool | float, ...]
Value = str | float | Point | tuple[Point, Point] | ExactValues | None


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter: what the cells of a column have to be.

    ``type`` is what cells are compared as: the column's own type, that of its elements if ``elementwise``, or, for a
    comparison with a column of text, DOUBLE or TIMESTAMP. ``value`` depends on the operator's kind:

    - EQUALITY, MEMBERSHIP: the values that a cell of the type can equal at all; numbers and dates as text for a cast
    - COMPARISON, SEQUENCE: a float beside FLOAT and DOUBLE, else a `Point` on the type's grid
    - WINDOW: the first and the last point
    - SUBSTRING: the text; NULLNESS, EMPTINESS: None
    """

    place: str
    """Where the filter stands in the request: ``filters[0]``."""
    column: Reference
    operator: Operator
    type: ColumnType
    value: Value
    elementwise: bool = False

    @property
    def positive(self) -> Operator:
        """The operator, or the one that it is the exact complement of."""
        return OPERATORS[self.operator.complement_of or self.operator.name]

    @property
    def negated(self) -> bool:
        """Whether the condition keeps exactly the rows that `positive` does not."""
        return self.operator.complement_of is not None


def read_condition(entry: Filter, column: Reference, now: datetime) -> Condition:
    """Read a filter on a column at a moment in UTC. Raises InvalidFilter, which names the entry and the remedy."""
    return _Reader(entry, column, now).read()


@dataclass(frozen=True, slots=True)
class _Reader:
    entry: Filter
    column: Reference
    now: datetime

    def read(self) -> Condition:
        kind, type_ = self.entry.operator.kind, self.column.type
        elementwise = type_.family is Family.LIST and kind in ELEMENTWISE
        if elementwise:
            type_ = type_.item
        if type_.family not in FAMILIES_OF[kind]:
            raise self._inapplicable()
        type_, value = self._value(kind, type_)
        return Condition(self.entry.place, self.column, self.entry.operator, type_, value, elementwise)

    def _value(self, kind: Kind, type_: ColumnType) -> tuple[ColumnType, Value]:
        value = self.entry.value
        match kind:
            case Kind.NULLNESS | Kind.EMPTINESS:
                return type_, None
            case Kind.SUBSTRING:
                return type_, read_text(value)
            case Kind.EQUALITY | Kind.MEMBERSHIP:
                values = value if isinstance(value, tuple) else (value,)
                read = (self._exact(one, type_) for one in values)
                return type_, tuple(one for one in read if one is not None)
            case Kind.COMPARISON | Kind.SEQUENCE:
                if type_.family is Family.TEXT:
                    return self._text_comparison(kind)
                if type_.family is Family.FLOAT:
                    return type_, float_value(self._read(read_number), type_)
                return type_, self._point(value, type_)
            case Kind.WINDOW:
                if not isinstance(value, int):
                    raise self._invalid("the value must be a positive integer")
                type_ = TIMESTAMP if type_.family is Family.TEXT else type_
                first, last = (instant_point(instant, type_) for instant in window(value, self.now))
                return type_, (first, last)

    def _text_comparison(self, kind: Kind) -> tuple[ColumnType, Value]:
        """The value decides whether cells are read as numbers or as moments."""
        value = self.entry.value
        number = None if kind is Kind.SEQUENCE else read_number(value)
        if number is not None:
            return DOUBLE, float(number)
        instant = read_instant(value)
        if instant is None:
            number_too = "" if kind is Kind.SEQUENCE else "a number, or "
            raise self._unreadable(f"give {number_too}{_A_DATE}")
        return TIMESTAMP, instant_point(instant, TIMESTAMP)

    def _exact(self, value: object, type_: ColumnType) -> str | bool | float | None:
        """What a cell has to be to equal the value; None if no cell of the type can."""
        match type_.family:
            case Family.TEXT:
                return read_text(value)
            case Family.BOOLEAN:
                return self._read(read_boolean, value)
            case Family.FLOAT:
                number = float_value(self._read(read_number, value), type_)
                # A number beyond the end of the type equals no cell, not even an infinite one.
                return number if isfinite(number) else None
            case _:
                point = self._point(value, type_)
                return point.text if point.exact else None

    def _point(self, value: object, type_: ColumnType) -> Point:
        if type_.family in (Family.DATE, Family.TIMESTAMP):
            return instant_point(self._read(read_instant, value), type_)
        return number_point(self._read(read_number, value), type_)

    def _read(self, reader: Callable[[object], _Read | None], *value: object) -> _Read:
        """The filter's own value unless another is given."""
        read = reader(value[0] if value else self.entry.value)
        if read is None:
            raise self._unreadable(_EXPECTED[reader])
        return read

    def _inapplicable(self) -> InvalidFilter:
        names = ", ".join(row.name for row in operators_of(self.column.type))
        within = "name a field within it by a dotted path, or " if self.column.type.family is Family.OBJECT else ""
        return self._invalid(
            f"{self.entry.operator.name} cannot be applied to {self._described()}; {within}use one of {names}"
        )

    def _unreadable(self, expected: str) -> InvalidFilter:
        return self._invalid(f"the value cannot be read for {self._described()}: {expected}")

    def _described(self) -> str:
        return f"{self.column.path}, which is {self.column.data_type} ({self.column.type.sql()})"

    def _invalid(self, text: str) -> InvalidFilter:
        place = self.entry.place
        return InvalidFilter(f"{place}: {text}.", parameter="filters", entry=place, field=self.entry.field)


_A_DATE = "an ISO 8601 date such as 2026-01-31 or 2026-01-31T10:00:00Z"
_EXPECTED: dict[Callable[[object], object], str] = {
    read_number: "give a number",
    read_instant: f"give {_A_DATE}",
    read_boolean: "give true or false",
}
