"""The 19 operators for every column type, web/API.md, section 4: which cells match, and what is a 400.

Unlike `tests.helpers.operator_oracle`, it knows the column's type, and so which values are refused.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.helpers.operator_oracle import COMPARISONS, COMPLEMENTS, TEMPORAL
from tests.property import shapes
from tests.property.reading import Beyond, Refused, as_text, fold, nanoseconds, nearest, number
from tests.property.shapes import Shape

Matcher = Callable[[Any], bool]

SUBSTRINGS: dict[str, Callable[[str, str], bool]] = {
    "CONTAINS": lambda cell, value: value in cell,
    "STARTS_WITH": str.startswith,
    "ENDS_WITH": str.endswith,
}
ORDERED = {**COMPARISONS, **TEMPORAL}
NULLS = ("IS_NULL", "IS_NOT_NULL", "IS_EMPTY", "IS_NOT_EMPTY")
OPERATORS = ("EQUALS", "IN", *COMPLEMENTS, "IS_NULL", "IS_EMPTY", *SUBSTRINGS, *ORDERED, "WITHIN_LAST_DAYS")
_EXACT = (shapes.TEXT, shapes.UUID, shapes.INTEGER, shapes.DECIMAL, shapes.FLOAT, shapes.DOUBLE, shapes.BOOLEAN)
_EMPTY: dict[str, tuple[Any, ...]] = {shapes.LIST: ([],), shapes.TEXT: ("",), shapes.JSON: ('""', "[]")}
_TIMES = (shapes.DATE, shapes.TIMESTAMP)


def matcher(name: str, shape: Shape, value: Any, now: datetime) -> Matcher:
    """Return a function for whether a cell matches. Raises Refused where the contract requires a 400."""
    if name in COMPLEMENTS:
        twin = matcher(COMPLEMENTS[name], shape, value, now)
        return lambda cell: not twin(cell)
    found = _matcher(name, shape, value, now)
    return found if name in NULLS else lambda cell: cell is not None and found(cell)


def _matcher(name: str, shape: Shape, value: Any, now: datetime) -> Matcher:
    if name in NULLS:
        return _emptiness(name, shape, value)
    if name in ("EQUALS", "IN") or name in SUBSTRINGS:
        element = shape.item if shape.family == shapes.LIST else shape
        one = _substring(name, element, value) if name in SUBSTRINGS else _membership(name, element, value)
        return one if element is shape else lambda cell: any(item is not None and one(item) for item in cell)
    return _window(shape, value, now) if name == "WITHIN_LAST_DAYS" else _ordered(name, shape, value)


def _emptiness(name: str, shape: Shape, value: Any) -> Matcher:
    if value is not None or (name == "IS_EMPTY" and shape.family in (shapes.STRUCT, shapes.MAP)):
        raise Refused
    if name == "IS_NULL":
        return lambda cell: cell is None
    empty = _EMPTY.get(shape.family, ())
    return lambda cell: cell is None or cell in empty


def _substring(name: str, shape: Shape, value: Any) -> Matcher:
    if not isinstance(value, str) or shape.family not in (shapes.TEXT, shapes.UUID):
        raise Refused
    wanted = fold(value)
    return lambda cell: SUBSTRINGS[name](fold(str(cell)), wanted)


def _membership(name: str, shape: Shape, value: Any) -> Matcher:
    if name == "IN" and not isinstance(value, list):
        raise Refused
    points = [_point(shape, item) for item in (value if name == "IN" else [value])]
    if shape.family not in (*_EXACT, *_TIMES):
        raise Refused
    seen = _seen(shape)
    return lambda cell: any(seen(cell) == point for point in points)


def _point(shape: Shape, value: Any) -> Any:
    """Read a value in the column's type."""
    if isinstance(value, list | dict) or value is None:
        raise Refused
    match shape.family:
        case shapes.TEXT | shapes.UUID:
            return as_text(value)
        case shapes.BOOLEAN:
            return _known({"true": True, "false": False}.get(value) if isinstance(value, str) else value, bool)
        case shapes.DATE | shapes.TIMESTAMP:
            return _known(nanoseconds(value) if isinstance(value, str) else None, int)
        case shapes.FLOAT | shapes.DOUBLE:
            return nearest(_known(number(value), Fraction), "f" if shape.family == shapes.FLOAT else "d")
        case _:
            return _known(number(value), Fraction)


def _known(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise Refused
    return value


def _seen(shape: Shape) -> Callable[[Any], Any]:
    """Convert cells to what `_point` returns for values."""
    match shape.family:
        case shapes.UUID:
            return str
        case shapes.DATE | shapes.TIMESTAMP:
            return nanoseconds
        case shapes.DECIMAL:
            return Fraction
        case _:
            return lambda cell: cell


def _ordered(name: str, shape: Shape, value: Any) -> Matcher:
    if not isinstance(value, str) and (name in TEMPORAL or isinstance(value, bool | list | dict) or value is None):
        raise Refused
    if shape.family in (shapes.TEXT, shapes.UUID):
        return _ordered_text(name, value)
    numeric = shape.family in (shapes.INTEGER, shapes.DECIMAL, shapes.FLOAT, shapes.DOUBLE) and name in COMPARISONS
    if not numeric and shape.family not in _TIMES:
        raise Refused
    point, seen = _point(shape, value), _seen(shape)
    return lambda cell: _holds(ORDERED[name], seen(cell), point)


def _ordered_text(name: str, value: Any) -> Matcher:
    wanted = number(value) if name in COMPARISONS else None
    if wanted is None:
        moment = _known(nanoseconds(value) if isinstance(value, str) else None, int)
        return lambda cell: _holds(ORDERED[name], nanoseconds(str(cell)), moment)
    point = nearest(wanted, "d")

    def holds(cell: Any) -> bool:
        mine = number(str(cell))
        # Numeric text is compared as DOUBLE (engine/DECISIONS.md).
        return mine is not None and _holds(ORDERED[name], nearest(mine, "d"), point)

    return holds


def _holds(comparison: Callable[[Any, Any], bool], cell: Any, point: Any) -> bool:
    if cell is None or cell != cell:
        return False
    if isinstance(cell, Beyond):
        cell = Decimal("Infinity") * cell.sign
    if isinstance(point, Beyond):
        # Only Infinity itself lies on the far side.
        infinite = cell == Decimal("Infinity") * point.sign
        return comparison(point.sign if infinite else -point.sign, 0)
    return comparison(cell, point)


def _window(shape: Shape, days: Any, now: datetime) -> Matcher:
    if isinstance(days, bool) or not isinstance(days, int) or days < 1:
        raise Refused
    if shape.family not in (shapes.TEXT, shapes.UUID, *_TIMES):
        raise Refused
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    last, first = nanoseconds(now), nanoseconds(midnight)
    assert last is not None
    assert first is not None
    first -= days * (timedelta(days=1) // timedelta(microseconds=1)) * 1000

    def within(cell: Any) -> bool:
        moment = nanoseconds(cell if shape.family in _TIMES else str(cell))
        return moment is not None and first <= moment <= last

    return within
