"""Compile conditions to SQL, each to a boolean expression over one column (web/API.md, section 4).

Values are always bound as parameters. The templates of `engine.request.operators` are filled only with expressions
that this module generates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from engine.catalog.types import ColumnType, Family
from engine.plan.conditions import Condition
from engine.request.literals import Point
from engine.request.operators import Operator, OperatorKind
from engine.request.text_casts import instant_in, number_in


@dataclass
class Parameters:
    """The values that a statement binds, by name."""

    values: dict[str, object] = field(default_factory=dict)

    def bind(self, value: object, type_: str) -> str:
        """Bind a value and return an expression of the SQL type for it."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"CAST(${name} AS {type_})"


@dataclass(frozen=True, slots=True)
class Predicate:
    """A boolean expression, empty if there is no condition, and the values that it binds."""

    sql: str
    parameters: dict[str, object]


def compile_predicate(conditions: Sequence[Condition]) -> Predicate:
    """Compile conditions that must all hold."""
    parameters = Parameters()
    return Predicate(" AND ".join(_compile(condition, parameters) for condition in conditions), parameters.values)


def _compile(condition: Condition, parameters: Parameters) -> str:
    positive = _Compiler(condition, parameters).compile()
    # A null cell belongs to the complement.
    return f"NOT coalesce({positive}, FALSE)" if condition.negated else f"({positive})"


@dataclass(frozen=True, slots=True)
class _Compiler:
    condition: Condition
    parameters: Parameters

    def compile(self) -> str:
        operator, type_, cell = self.condition.positive, self.condition.type, self.condition.column.sql
        if not self.condition.elementwise:
            return self._cell_predicate(operator, _as_text(cell, type_))
        if operator.kind is not OperatorKind.SUBSTRING:
            list_type = f"{_equality_type(type_)}[]"
            return f"list_has_any(CAST({cell} AS {list_type}), {self.parameters.bind(self._values(), list_type)})"
        sql = self._cell_predicate(operator, _as_text("element", type_))
        return f"len(list_filter({cell}, lambda element: {sql})) > 0"

    def _values(self) -> list[object]:
        value = self.condition.value
        return list(value) if isinstance(value, tuple) else []

    def _cell_predicate(self, operator: Operator, cell: str) -> str:
        match operator.kind:
            case OperatorKind.NULL_CHECK:
                return operator.sql.format(x=cell)
            case OperatorKind.EMPTY_CHECK:
                array = f"(json_type({cell}) = 'ARRAY' AND json_array_length({cell}) = 0)"
                empty = {
                    Family.TEXT: f" OR {cell} = ''",
                    Family.LIST: f" OR len({cell}) = 0",
                    Family.JSON: f" OR ({cell} ->> '$') = '' OR {array}",
                }
                return operator.sql.format(x=cell) + empty.get(self.condition.type.family, "")
            case OperatorKind.SUBSTRING:
                return operator.sql.format(x=cell, v=self.parameters.bind(self.condition.value, "VARCHAR"))
            case OperatorKind.EQUALITY | OperatorKind.MEMBERSHIP:
                return self._equal(cell)
            case OperatorKind.COMPARISON | OperatorKind.DATE_COMPARISON:
                return self._comparison(operator, cell)
            case OperatorKind.DATE_RANGE:
                return self._date_range(operator, cell)

    def _equal(self, cell: str) -> str:
        type_, values = self.condition.type, self._values()
        equality_type = _equality_type(type_)
        if not values:
            return "FALSE"
        if type_.name == "FLOAT":
            cell = f"CAST({cell} AS DOUBLE)"
        choices = []
        if type_.family is Family.FLOAT and 0.0 in values:
            # 0.0 equals -0.0, but a Parquet Bloom filter compares bits and would miss the other one.
            choices.append(f"{cell} BETWEEN 0 AND 0")
            values = [value for value in values if value]
        if len(values) == 1:
            choices.append(f"{cell} = {self.parameters.bind(values[0], equality_type)}")
        elif values:
            # Bound as one list: one parameter per value takes 80 us each, 0.8 s for 10,000.
            choices.append(f"{cell} IN (SELECT unnest({self.parameters.bind(values, f'{equality_type}[]')}))")
        return f"({' OR '.join(choices)})"

    def _comparison(self, operator: Operator, cell: str) -> str:
        value, is_text = self.condition.value, self.condition.column.type.family is Family.TEXT
        cell = _as_text(cell, self.condition.column.type)
        if isinstance(value, Point):
            return self._grid_comparison(operator, value, instant_in(cell) if is_text else cell)
        if is_text:
            return operator.sql.format(x=number_in(cell), v=self.parameters.bind(value, "DOUBLE"))
        if not isinstance(value, float):
            raise TypeError("the value of a comparison must be a float or a Point")
        return self._float_comparison(operator, value, cell)

    def _float_comparison(self, operator: Operator, value: float, cell: str) -> str:
        above = ">" in operator.sql
        wide = f"CAST({cell} AS DOUBLE)" if self.condition.type.name == "FLOAT" else cell
        if isfinite(value):
            compared = operator.sql.format(x=wide, v=self.parameters.bind(value, "DOUBLE"))
        elif value > 0:
            # The value is beyond the type's range, but infinite cells are beyond the value.
            compared = f"{wide} {'=' if above else '<'} CAST('Infinity' AS DOUBLE)"
        else:
            compared = f"{wide} {'>' if above else '='} CAST('-Infinity' AS DOUBLE)"
        # DuckDB orders NaN above all numbers, but NaN is not greater than a number.
        return f"{compared} AND NOT isnan({cell})" if above else compared

    def _grid_comparison(self, operator: Operator, point: Point, cell: str) -> str:
        above = ">" in operator.sql
        if point.text is None:
            return f"{cell} IS NOT NULL" if above == (point.sign < 0) else "FALSE"
        bound = self.parameters.bind(point.text, self.condition.type.sql())
        if point.exact:
            return operator.sql.format(x=cell, v=bound)
        # Between two points of the grid: above the value is above the point below it, all else is at most that point.
        return f"{cell} > {bound}" if above else f"{cell} <= {bound}"

    def _date_range(self, operator: Operator, cell: str) -> str:
        type_ = self.condition.type
        if self.condition.column.type.family is Family.TEXT:
            cell = instant_in(_as_text(cell, self.condition.column.type))
        first, last = self._values()
        if not isinstance(first, Point) or not isinstance(last, Point):
            raise TypeError("the value of a date range must be two Points")
        return operator.sql.format(
            x=cell,
            v=self.parameters.bind(first.text, type_.sql()),
            now=self.parameters.bind(last.text, type_.sql()),
        )


def _as_text(cell: str, type_: ColumnType) -> str:
    return f"CAST({cell} AS VARCHAR)" if type_.name == "UUID" else cell


def _equality_type(type_: ColumnType) -> str:
    """The SQL type that cells and values are compared in; FLOAT converts to DOUBLE without loss."""
    match type_.family:
        case Family.TEXT:
            return "VARCHAR"
        case Family.FLOAT:
            return "DOUBLE"
        case _:
            return type_.sql()
