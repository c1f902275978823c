"""Where a filter becomes SQL: one boolean expression over the cells of one column (contract section 4).

Values are bound, never written into the text; the templates of `engine.request.operators` are filled with expressions
that this module made itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import TypeVar

from engine.catalog.schema import Reference
from engine.catalog.types import TIMESTAMP, ColumnType, Family
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
from engine.request.text_casts import instant_in, number_in

_Read = TypeVar("_Read")


@dataclass
class Parameters:
    """The values that a statement binds, by name."""

    values: dict[str, object] = field(default_factory=dict)

    def bind(self, value: object, type_: str) -> str:
        """Bind a value and return the expression that stands for it in that type."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"CAST(${name} AS {type_})"


def compile_filter(entry: Filter, column: Reference, parameters: Parameters, now: datetime) -> str:
    """The SQL that is true for the rows which the filter keeps. Raises InvalidFilter for what means nothing."""
    operator = OPERATORS[entry.operator.complement_of or entry.operator.name]
    compiler = _Compiler(entry, column, parameters, now)
    positive = compiler.compile(operator)
    return f"NOT coalesce({positive}, FALSE)" if entry.operator.complement_of else f"({positive})"


@dataclass(frozen=True, slots=True)
class _Compiler:
    entry: Filter
    column: Reference
    parameters: Parameters
    now: datetime

    def compile(self, operator: Operator) -> str:
        kind, type_, cell = operator.kind, self.column.type, self.column.sql
        if type_.family is Family.LIST and kind in ELEMENTWISE:
            type_ = type_.item
            self._check_family(kind, type_)
            if kind is not Kind.SUBSTRING:
                return self._any_equal(type_, cell)
            sql = self._cell_predicate(operator, type_, _as_text("element", type_))
            return f"len(list_filter({cell}, lambda element: {sql})) > 0"
        self._check_family(kind, type_)
        return self._cell_predicate(operator, type_, _as_text(cell, type_))

    def _check_family(self, kind: Kind, type_: ColumnType) -> None:
        if type_.family not in FAMILIES_OF[kind]:
            names = ", ".join(row.name for row in operators_of(self.column.type))
            within = "name a field within it by a dotted path, or " if self.column.type.family is Family.OBJECT else ""
            raise self._invalid(
                f"{self.entry.operator.name} means nothing on {self._described()}; {within}use one of {names}"
            )

    def _cell_predicate(self, operator: Operator, type_: ColumnType, cell: str) -> str:
        value = self.entry.value
        match operator.kind:
            case Kind.NULLNESS:
                return operator.sql.format(x=cell)
            case Kind.EMPTINESS:
                array = f"(json_type({cell}) = 'ARRAY' AND json_array_length({cell}) = 0)"
                empty = {
                    Family.TEXT: f" OR {cell} = ''",
                    Family.LIST: f" OR len({cell}) = 0",
                    Family.JSON: f" OR ({cell} ->> '$') = '' OR {array}",
                }
                return operator.sql.format(x=cell) + empty.get(type_.family, "")
            case Kind.SUBSTRING:
                return operator.sql.format(x=cell, v=self.parameters.bind(value, "VARCHAR"))
            case Kind.EQUALITY | Kind.MEMBERSHIP:
                return self._equal(type_, cell)
            case Kind.COMPARISON | Kind.SEQUENCE:
                return self._comparison(operator, type_, cell)
            case Kind.WINDOW:
                return self._window(operator, type_, cell)

    def _equal(self, type_: ColumnType, cell: str) -> str:
        values, read_as = self._exact_values(type_), _equality_type(type_)
        if not values:
            return "FALSE"
        if type_.name == "FLOAT":
            cell = f"CAST({cell} AS DOUBLE)"
        choices = []
        if type_.family is Family.FLOAT and 0.0 in values:
            # Zeros are equal with and without a sign; a Bloom filter of a part knows their bits alone.
            choices.append(f"{cell} BETWEEN 0 AND 0")
            values = [value for value in values if value]
        if len(values) == 1:
            choices.append(f"{cell} = {self.parameters.bind(values[0], read_as)}")
        elif values:
            # One list for all: a parameter for each costs 80 us, 0.8 s for 10,000 of them.
            choices.append(f"{cell} IN (SELECT unnest({self.parameters.bind(values, f'{read_as}[]')}))")
        return f"({' OR '.join(choices)})"

    def _any_equal(self, type_: ColumnType, cells: str) -> str:
        read_as = f"{_equality_type(type_)}[]"
        return f"list_has_any(CAST({cells} AS {read_as}), {self.parameters.bind(self._exact_values(type_), read_as)})"

    def _exact_values(self, type_: ColumnType) -> list[object]:
        """The values, to be read as `_equality_type`, without those that no cell of the type can equal."""
        value = self.entry.value
        values = value if isinstance(value, tuple) else (value,)
        return [exact for exact in (self._exact(value, type_) for value in values) if exact is not None]

    def _exact(self, value: object, type_: ColumnType) -> object | None:
        match type_.family:
            case Family.TEXT:
                return read_text(value)
            case Family.BOOLEAN:
                return self._read(read_boolean, value)
            case Family.FLOAT:
                number = float_value(self._read(read_number, value), type_)
                # Beyond the type's end there is no number: an infinite cell is none.
                return number if isfinite(number) else None
            case _:
                point = self._point(value, type_)
                return point.text if point.exact else None

    def _comparison(self, operator: Operator, type_: ColumnType, cell: str) -> str:
        value = self.entry.value
        if type_.family is Family.TEXT:
            return self._text_comparison(operator, cell)
        if type_.family is Family.FLOAT:
            return self._float_comparison(operator, type_, cell)
        return self._grid_comparison(operator, self._point(value, type_), type_, cell)

    def _float_comparison(self, operator: Operator, type_: ColumnType, cell: str) -> str:
        above = ">" in operator.sql
        value = float_value(self._read(read_number, self.entry.value), type_)
        wide = f"CAST({cell} AS DOUBLE)" if type_.name == "FLOAT" else cell
        if isfinite(value):
            compared = operator.sql.format(x=wide, v=self.parameters.bind(value, "DOUBLE"))
        elif value > 0:
            # Beyond the type's end, but not beyond infinity.
            compared = f"{wide} {'=' if above else '<'} CAST('Infinity' AS DOUBLE)"
        else:
            compared = f"{wide} {'>' if above else '='} CAST('-Infinity' AS DOUBLE)"
        # DuckDB orders NaN above all numbers; no number is above another by being none.
        return f"{compared} AND NOT isnan({cell})" if above else compared

    def _grid_comparison(self, operator: Operator, point: Point, type_: ColumnType, cell: str) -> str:
        above = ">" in operator.sql
        if point.text is None:
            return f"{cell} IS NOT NULL" if above == (point.sign < 0) else "FALSE"
        bound = self.parameters.bind(point.text, type_.sql())
        if point.exact:
            return operator.sql.format(x=cell, v=bound)
        # Between two points of the grid: above the value is above the point below it, all else is at most that point.
        return f"{cell} > {bound}" if above else f"{cell} <= {bound}"

    def _text_comparison(self, operator: Operator, cell: str) -> str:
        value = self.entry.value
        number = None if operator.kind is Kind.SEQUENCE else read_number(value)
        if number is not None:
            return operator.sql.format(x=number_in(cell), v=self.parameters.bind(float(number), "DOUBLE"))
        instant = read_instant(value)
        if instant is None:
            number_too = "" if operator.kind is Kind.SEQUENCE else "a number, or "
            raise self._unreadable(f"give {number_too}{_A_DATE}")
        return self._grid_comparison(operator, instant_point(instant, TIMESTAMP), TIMESTAMP, instant_in(cell))

    def _window(self, operator: Operator, type_: ColumnType, cell: str) -> str:
        days = self.entry.value
        if not isinstance(days, int):
            raise self._invalid("the value is a positive integer")
        if type_.family is Family.TEXT:
            type_, cell = TIMESTAMP, instant_in(cell)
        first, last = (instant_point(instant, type_) for instant in window(days, self.now))
        return operator.sql.format(
            x=cell,
            v=self.parameters.bind(first.text, type_.sql()),
            now=self.parameters.bind(last.text, type_.sql()),
        )

    def _point(self, value: object, type_: ColumnType) -> Point:
        if type_.family in (Family.DATE, Family.TIMESTAMP):
            return instant_point(self._read(read_instant, value), type_)
        return number_point(self._read(read_number, value), type_)

    def _read(self, reader: Callable[[object], _Read | None], value: object) -> _Read:
        read = reader(value)
        if read is None:
            raise self._unreadable(_EXPECTED[reader])
        return read

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


def _as_text(cell: str, type_: ColumnType) -> str:
    return f"CAST({cell} AS VARCHAR)" if type_.name == "UUID" else cell


def _equality_type(type_: ColumnType) -> str:
    """What cells and values are read as to be equal: FLOAT cells go to DOUBLE without loss."""
    match type_.family:
        case Family.TEXT:
            return "VARCHAR"
        case Family.FLOAT:
            return "DOUBLE"
        case _:
            return type_.sql()
