"""The 19 operators as data rows (web/API.md, section 4).

``sql`` is a template over ``{x}`` (the cell) and ``{v}`` (the bound value). An operator with ``complement_of`` has no
template: it matches exactly the rows that the named operator does not, null rows included.
"""

from dataclasses import dataclass
from enum import Enum

from engine.catalog.types import ColumnType, Family


class ValueShape(Enum):
    """What a filter's ``value`` must be; the text is shown to callers."""

    SCALAR = "a string, number or boolean"
    TEXT = "a string"
    ORDERED = "a number or an ISO 8601 date string"
    DATE = "an ISO 8601 date string"
    ARRAY = "an array of strings, numbers or booleans"
    DAYS = "a positive integer"
    NONE = "no value"


class OperatorKind(Enum):
    """Operators that are compiled to SQL and pruned alike."""

    EQUALITY = "equality"
    MEMBERSHIP = "membership"
    SUBSTRING = "substring"
    COMPARISON = "comparison"
    DATE_COMPARISON = "date comparison"
    DATE_RANGE = "date range"
    NULL_CHECK = "null check"
    EMPTY_CHECK = "empty check"


@dataclass(frozen=True, slots=True)
class Operator:
    """One row; ``meaning`` is shown to callers."""

    name: str
    meaning: str
    kind: OperatorKind
    value: ValueShape
    sql: str = ""
    complement_of: str | None = None


_EXACT = frozenset(
    {Family.TEXT, Family.INTEGER, Family.DECIMAL, Family.FLOAT, Family.BOOLEAN, Family.DATE, Family.TIMESTAMP}
)
_TEMPORAL = frozenset({Family.TEXT, Family.DATE, Family.TIMESTAMP})
_NUMERIC = frozenset({Family.INTEGER, Family.DECIMAL, Family.FLOAT})

APPLICABLE_FAMILIES: dict[OperatorKind, frozenset[Family]] = {
    OperatorKind.EQUALITY: _EXACT,
    OperatorKind.MEMBERSHIP: _EXACT,
    OperatorKind.SUBSTRING: frozenset({Family.TEXT}),
    OperatorKind.COMPARISON: _TEMPORAL | _NUMERIC,
    OperatorKind.DATE_COMPARISON: _TEMPORAL,
    OperatorKind.DATE_RANGE: _TEMPORAL,
    OperatorKind.NULL_CHECK: frozenset(Family),
    OperatorKind.EMPTY_CHECK: frozenset(Family) - {Family.OBJECT, Family.MAP},
}
"""The type families that each kind applies to; for others a filter is refused."""

ELEMENTWISE_KINDS = frozenset({OperatorKind.EQUALITY, OperatorKind.MEMBERSHIP, OperatorKind.SUBSTRING})
"""Kinds that match a list if any of its elements matches."""

_ROWS = (
    Operator(
        "EQUALS", "equal to the value; case-sensitive for text", OperatorKind.EQUALITY, ValueShape.SCALAR, "{x} = {v}"
    ),
    Operator(
        "NOT_EQUALS",
        "not equal to the value, or null",
        OperatorKind.EQUALITY,
        ValueShape.SCALAR,
        complement_of="EQUALS",
    ),
    Operator(
        "CONTAINS",
        "contains the text; case-insensitive",
        OperatorKind.SUBSTRING,
        ValueShape.TEXT,
        "contains(lower({x}), lower({v}))",
    ),
    Operator(
        "NOT_CONTAINS",
        "does not contain the text, or is null",
        OperatorKind.SUBSTRING,
        ValueShape.TEXT,
        complement_of="CONTAINS",
    ),
    Operator(
        "STARTS_WITH",
        "starts with the text; case-insensitive",
        OperatorKind.SUBSTRING,
        ValueShape.TEXT,
        "starts_with(lower({x}), lower({v}))",
    ),
    Operator(
        "ENDS_WITH",
        "ends with the text; case-insensitive",
        OperatorKind.SUBSTRING,
        ValueShape.TEXT,
        "suffix(lower({x}), lower({v}))",
    ),
    Operator(
        "GREATER_THAN",
        "greater than the number, or after the date",
        OperatorKind.COMPARISON,
        ValueShape.ORDERED,
        "{x} > {v}",
    ),
    Operator(
        "LESS_THAN",
        "less than the number, or before the date",
        OperatorKind.COMPARISON,
        ValueShape.ORDERED,
        "{x} < {v}",
    ),
    Operator(
        "GREATER_THAN_OR_EQUAL",
        "at least the number, or at or after the date",
        OperatorKind.COMPARISON,
        ValueShape.ORDERED,
        "{x} >= {v}",
    ),
    Operator(
        "LESS_THAN_OR_EQUAL",
        "at most the number, or at or before the date",
        OperatorKind.COMPARISON,
        ValueShape.ORDERED,
        "{x} <= {v}",
    ),
    Operator("IN", "equal to one of the values", OperatorKind.MEMBERSHIP, ValueShape.ARRAY, "{x} = {v}"),
    Operator(
        "NOT_IN", "equal to none of the values, or null", OperatorKind.MEMBERSHIP, ValueShape.ARRAY, complement_of="IN"
    ),
    Operator("IS_NULL", "null", OperatorKind.NULL_CHECK, ValueShape.NONE, "{x} IS NULL"),
    Operator("IS_NOT_NULL", "not null", OperatorKind.NULL_CHECK, ValueShape.NONE, complement_of="IS_NULL"),
    Operator(
        "IS_EMPTY", "null, an empty string or an empty array", OperatorKind.EMPTY_CHECK, ValueShape.NONE, "{x} IS NULL"
    ),
    Operator(
        "IS_NOT_EMPTY", "neither null nor empty", OperatorKind.EMPTY_CHECK, ValueShape.NONE, complement_of="IS_EMPTY"
    ),
    Operator("BEFORE", "before the date", OperatorKind.DATE_COMPARISON, ValueShape.DATE, "{x} < {v}"),
    Operator("AFTER", "after the date", OperatorKind.DATE_COMPARISON, ValueShape.DATE, "{x} > {v}"),
    Operator(
        "WITHIN_LAST_DAYS",
        "from midnight UTC, N days before today, up to now",
        OperatorKind.DATE_RANGE,
        ValueShape.DAYS,
        "{x} BETWEEN {v} AND {now}",
    ),
)

OPERATORS: dict[str, Operator] = {row.name: row for row in _ROWS}


def operators_for(type_: ColumnType) -> list[Operator]:
    """The operators that can be applied to a column of the type."""
    return [row for row in OPERATORS.values() if _applies(row.kind, type_)]


def _applies(kind: OperatorKind, type_: ColumnType) -> bool:
    compared = type_.item if type_.family is Family.LIST and kind in ELEMENTWISE_KINDS else type_
    return compared.family in APPLICABLE_FAMILIES[kind]
