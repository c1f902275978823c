"""Typed conditions: the filters of a request, each value read once in the type of its column (web/API.md, section 4).

The SQL predicate, the pruning of row groups and ``tailrace explain`` all work on them.
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
    last_days,
    number_point,
    read_boolean,
    read_instant,
    read_number,
    read_text,
)
from engine.request.operators import (
    APPLICABLE_FAMILIES,
    ELEMENTWISE_KINDS,
    OPERATORS,
    Operator,
    OperatorKind,
    operators_for,
)
from engine.request.request import Filter

_ValueT = TypeVar("_ValueT")

ExactValues = tuple[str | bool | float, ...]
Value = str | float | Point | tuple[Point, Point] | ExactValues | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter on one column.

    ``type`` is the type that cells are compared as: that of the column, of its elements if ``elementwise``, or DOUBLE
    or TIMESTAMP where a text column is compared with a number or date. ``value`` depends on the operator's kind:

    - EQUALITY, MEMBERSHIP: the values that a cell of the type can equal; numbers and dates as text for a cast
    - COMPARISON, DATE_COMPARISON: a float for FLOAT and DOUBLE, otherwise a `Point` on the type's grid
    - DATE_RANGE: the first and the last `Point`, both included
    - SUBSTRING: the text
    - NULL_CHECK, EMPTY_CHECK: None
    """

    label: str
    """The filter's entry in the request: ``filters[0]``."""
    column: Reference
    operator: Operator
    type: ColumnType
    value: Value
    elementwise: bool = False

    @property
    def positive(self) -> Operator:
        """The operator, or the one that it is the complement of."""
        return OPERATORS[self.operator.complement_of or self.operator.name]

    @property
    def negated(self) -> bool:
        """Whether the condition matches exactly the rows that `positive` does not."""
        return self.operator.complement_of is not None


def read_condition(entry: Filter, column: Reference, now: datetime) -> Condition:
    """Read a filter in the type of its column; ``now`` is in UTC.

    Raises InvalidFilter, which names the entry and the remedy.
    """
    return _Reader(entry, column, now).read()


@dataclass(frozen=True, slots=True)
class _Reader:
    entry: Filter
    column: Reference
    now: datetime

    def read(self) -> Condition:
        kind, type_ = self.entry.operator.kind, self.column.type
        elementwise = type_.family is Family.LIST and kind in ELEMENTWISE_KINDS
        if elementwise:
            type_ = type_.item
        if type_.family not in APPLICABLE_FAMILIES[kind]:
            raise self._inapplicable()
        type_, value = self._value(kind, type_)
        return Condition(self.entry.label, self.column, self.entry.operator, type_, value, elementwise)

    def _value(self, kind: OperatorKind, type_: ColumnType) -> tuple[ColumnType, Value]:
        value = self.entry.value
        match kind:
            case OperatorKind.NULL_CHECK | OperatorKind.EMPTY_CHECK:
                return type_, None
            case OperatorKind.SUBSTRING:
                return type_, read_text(value)
            case OperatorKind.EQUALITY | OperatorKind.MEMBERSHIP:
                values = value if isinstance(value, tuple) else (value,)
                exact = (self._exact(item, type_) for item in values)
                return type_, tuple(item for item in exact if item is not None)
            case OperatorKind.COMPARISON | OperatorKind.DATE_COMPARISON:
                if type_.family is Family.TEXT:
                    return self._text_comparison(kind)
                if type_.family is Family.FLOAT:
                    return type_, float_value(self._read(read_number, value), type_)
                return type_, self._point(value, type_)
            case OperatorKind.DATE_RANGE:
                if not isinstance(value, int):
                    raise self._invalid("the value must be a positive integer")
                type_ = TIMESTAMP if type_.family is Family.TEXT else type_
                first, last = (instant_point(instant, type_) for instant in last_days(value, self.now))
                return type_, (first, last)

    def _text_comparison(self, kind: OperatorKind) -> tuple[ColumnType, Value]:
        """Compare cells as numbers or as dates, whichever the value is."""
        value = self.entry.value
        number = None if kind is OperatorKind.DATE_COMPARISON else read_number(value)
        if number is not None:
            return DOUBLE, float(number)
        instant = read_instant(value)
        if instant is None:
            or_number = "" if kind is OperatorKind.DATE_COMPARISON else "a number, or "
            raise self._unreadable(f"give {or_number}{_A_DATE}")
        return TIMESTAMP, instant_point(instant, TIMESTAMP)

    def _exact(self, value: object, type_: ColumnType) -> str | bool | float | None:
        """What a cell must be to equal the value; None if no cell of the type can."""
        match type_.family:
            case Family.TEXT:
                return read_text(value)
            case Family.BOOLEAN:
                return self._read(read_boolean, value)
            case Family.FLOAT:
                number = float_value(self._read(read_number, value), type_)
                # A number beyond the type's range equals no cell, not even an infinite one.
                return number if isfinite(number) else None
            case _:
                point = self._point(value, type_)
                return point.text if point.exact else None

    def _point(self, value: object, type_: ColumnType) -> Point:
        if type_.family in (Family.DATE, Family.TIMESTAMP):
            return instant_point(self._read(read_instant, value), type_)
        return number_point(self._read(read_number, value), type_)

    def _read(self, reader: Callable[[object], _ValueT | None], value: object) -> _ValueT:
        found = reader(value)
        if found is None:
            raise self._unreadable(_EXPECTED[reader])
        return found

    def _inapplicable(self) -> InvalidFilter:
        names = ", ".join(row.name for row in operators_for(self.column.type))
        children = self.column.type.children if self.column.type.family is Family.OBJECT else ()
        within = f"use a field within it, such as {self.column.path}.{children[0][0]}, or " if children else "use "
        return self._invalid(
            f"{self.entry.operator.name} cannot be applied to {self._described()}; {within}one of {names}"
        )

    def _unreadable(self, expected: str) -> InvalidFilter:
        return self._invalid(f"the value cannot be read for {self._described()}: {expected}")

    def _described(self) -> str:
        return f"{self.column.path}, which is {self.column.data_type} ({self.column.type.sql()})"

    def _invalid(self, text: str) -> InvalidFilter:
        label = self.entry.label
        return InvalidFilter(f"{label}: {text}.", parameter="filters", entry=label, field=self.entry.field)


_A_DATE = "an ISO 8601 date such as 2026-01-31 or 2026-01-31T10:00:00Z"
_EXPECTED: dict[Callable[[object], object], str] = {
    read_number: "give a number",
    read_instant: f"give {_A_DATE}",
    read_boolean: "give true or false",
}
