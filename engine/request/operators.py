"""The 19 operators as data rows (web/API.md, section 4).

``sql`` is a template over ``{x}`` (the cell) and ``{v}`` (the bound value). A row with ``complement_of`` has no SQL of
its own: it is the exact complement of its twin, null rows included.
"""

from dataclasses import dataclass
from enum import Enum

from engine.catalog.types import ColumnType, Family


class ValueShape(Enum):
    """What ``value`` has to be."""

    SCALAR = "a string, number or boolean"
    TEXT = "a string"
    ORDERED = "a number or an ISO 8601 date string"
    DATE = "an ISO 8601 date string"
    ARRAY = "an array of strings, numbers or booleans"
    DAYS = "a positive integer"
    NONE = "no value"


class Kind(Enum):
    """How a row is compiled."""

    EQUALITY = "equality"
    MEMBERSHIP = "membership"
    SUBSTRING = "substring"
    COMPARISON = "comparison"
    SEQUENCE = "sequence"
    WINDOW = "window"
    NULLNESS = "nullness"
    EMPTINESS = "emptiness"


@dataclass(frozen=True, slots=True)
class Operator:
    """One row of the table."""

    name: str
    meaning: str
    kind: Kind
    value: ValueShape
    sql: str = ""
    complement_of: str | None = None


_EXACT = frozenset(
    {Family.TEXT, Family.INTEGER, Family.DECIMAL, Family.FLOAT, Family.BOOLEAN, Family.DATE, Family.TIMESTAMP}
)
_TEMPORAL = frozenset({Family.TEXT, Family.DATE, Family.TIMESTAMP})
_NUMERIC = frozenset({Family.INTEGER, Family.DECIMAL, Family.FLOAT})

FAMILIES_OF: dict[Kind, frozenset[Family]] = {
    Kind.EQUALITY: _EXACT,
    Kind.MEMBERSHIP: _EXACT,
    Kind.SUBSTRING: frozenset({Family.TEXT}),
    Kind.COMPARISON: _TEMPORAL | _NUMERIC,
    Kind.SEQUENCE: _TEMPORAL,
    Kind.WINDOW: _TEMPORAL,
    Kind.NULLNESS: frozenset(Family),
    Kind.EMPTINESS: frozenset(Family) - {Family.OBJECT, Family.MAP},
}
"""On which families a kind means something; elsewhere it is a 400."""

ELEMENTWISE = frozenset({Kind.EQUALITY, Kind.MEMBERSHIP, Kind.SUBSTRING})
"""Kinds that look at any element of a list."""

_ROWS = (
    Operator("EQUALS", "exact match, case-sensitive on text", Kind.EQUALITY, ValueShape.SCALAR, "{x} = {v}"),
    Operator("NOT_EQUALS", "no exact match", Kind.EQUALITY, ValueShape.SCALAR, complement_of="EQUALS"),
    Operator(
        "CONTAINS",
        "substring, case-insensitive",
        Kind.SUBSTRING,
        ValueShape.TEXT,
        "contains(lower({x}), lower({v}))",
    ),
    Operator("NOT_CONTAINS", "no such substring", Kind.SUBSTRING, ValueShape.TEXT, complement_of="CONTAINS"),
    Operator(
        "STARTS_WITH",
        "prefix, case-insensitive",
        Kind.SUBSTRING,
        ValueShape.TEXT,
        "starts_with(lower({x}), lower({v}))",
    ),
    Operator(
        "ENDS_WITH",
        "suffix, case-insensitive",
        Kind.SUBSTRING,
        ValueShape.TEXT,
        "suffix(lower({x}), lower({v}))",
    ),
    Operator("GREATER_THAN", "number or date above the value", Kind.COMPARISON, ValueShape.ORDERED, "{x} > {v}"),
    Operator("LESS_THAN", "number or date below the value", Kind.COMPARISON, ValueShape.ORDERED, "{x} < {v}"),
    Operator(
        "GREATER_THAN_OR_EQUAL", "number or date not below the value", Kind.COMPARISON, ValueShape.ORDERED, "{x} >= {v}"
    ),
    Operator(
        "LESS_THAN_OR_EQUAL", "number or date not above the value", Kind.COMPARISON, ValueShape.ORDERED, "{x} <= {v}"
    ),
    Operator("IN", "equal to one of the array", Kind.MEMBERSHIP, ValueShape.ARRAY, "{x} = {v}"),
    Operator("NOT_IN", "equal to none of the array", Kind.MEMBERSHIP, ValueShape.ARRAY, complement_of="IN"),
    Operator("IS_NULL", "null", Kind.NULLNESS, ValueShape.NONE, "{x} IS NULL"),
    Operator("IS_NOT_NULL", "not null", Kind.NULLNESS, ValueShape.NONE, complement_of="IS_NULL"),
    Operator("IS_EMPTY", "null, an empty string or an empty array", Kind.EMPTINESS, ValueShape.NONE, "{x} IS NULL"),
    Operator("IS_NOT_EMPTY", "neither null nor empty", Kind.EMPTINESS, ValueShape.NONE, complement_of="IS_EMPTY"),
    Operator("BEFORE", "strictly before the date", Kind.SEQUENCE, ValueShape.DATE, "{x} < {v}"),
    Operator("AFTER", "strictly after the date", Kind.SEQUENCE, ValueShape.DATE, "{x} > {v}"),
    Operator(
        "WITHIN_LAST_DAYS",
        "since midnight UTC, N days ago, up to now",
        Kind.WINDOW,
        ValueShape.DAYS,
        "{x} BETWEEN {v} AND {now}",
    ),
)

OPERATORS: dict[str, Operator] = {row.name: row for row in _ROWS}


def operators_of(type_: ColumnType) -> list[Operator]:
    """The operators that mean something on a column of that type."""
    return [row for row in OPERATORS.values() if _means(row.kind, type_)]


def _means(kind: Kind, type_: ColumnType) -> bool:
    read_as = type_.item if type_.family is Family.LIST and kind in ELEMENTWISE else type_
    return read_as.family in FAMILIES_OF[kind]
