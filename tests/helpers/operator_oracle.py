"""The 19 operators over Python values, by web/API.md, section 4."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

Matcher = Callable[[Any, Any], bool]

TEMPORAL: dict[str, Matcher] = {
    "BEFORE": lambda cell, value: cell < value,
    "AFTER": lambda cell, value: cell > value,
}
COMPARISONS: dict[str, Matcher] = {
    "GREATER_THAN": lambda cell, value: cell > value,
    "LESS_THAN": lambda cell, value: cell < value,
    "GREATER_THAN_OR_EQUAL": lambda cell, value: cell >= value,
    "LESS_THAN_OR_EQUAL": lambda cell, value: cell <= value,
}
SUBSTRINGS: dict[str, Matcher] = {
    "CONTAINS": lambda cell, value: value.lower() in cell.lower(),
    "STARTS_WITH": lambda cell, value: cell.lower().startswith(value.lower()),
    "ENDS_WITH": lambda cell, value: cell.lower().endswith(value.lower()),
}
COMPLEMENTS = {
    "NOT_EQUALS": "EQUALS",
    "NOT_CONTAINS": "CONTAINS",
    "NOT_IN": "IN",
    "IS_NOT_NULL": "IS_NULL",
    "IS_NOT_EMPTY": "IS_EMPTY",
}


def matches(operator: str, cell: Any, value: Any, now: datetime) -> bool:
    """Whether a cell, a value of Python's own types, is kept."""
    if operator in COMPLEMENTS:
        return not matches(COMPLEMENTS[operator], cell, value, now)
    if operator == "IS_NULL":
        return cell is None
    if operator == "IS_EMPTY":
        return cell is None or cell in ("", [])
    if cell is None:
        return False
    if operator in ("EQUALS", "IN"):
        values = value if operator == "IN" else [value]
        return any(_equal(element, wanted) for element in _elements(cell) for wanted in values)
    if operator in SUBSTRINGS:
        return any(SUBSTRINGS[operator](element, value) for element in _elements(cell))
    if operator == "WITHIN_LAST_DAYS":
        moment = _moment(cell)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return moment is not None and moment <= now and midnight - moment <= timedelta(days=value)
    return _compares((COMPARISONS | TEMPORAL)[operator], operator, cell, value)


def _elements(cell: Any) -> list[Any]:
    return [element for element in cell if element is not None] if isinstance(cell, list) else [cell]


def _equal(cell: Any, value: Any) -> bool:
    if isinstance(cell, str):
        return cell == (str(value).lower() if isinstance(value, bool) else str(value))
    if isinstance(cell, bool):
        return cell is {"true": True, "false": False}.get(value, value)
    if isinstance(cell, date):
        return _moment(cell) == _moment(value)
    if isinstance(cell, float):
        return cell == float(value)
    return _number(cell) == _number(value)


def _compares(compare: Matcher, operator: str, cell: Any, value: Any) -> bool:
    number = None if operator in TEMPORAL or isinstance(cell, date) else _number(value)
    if number is None:
        moment = _moment(cell)
        return moment is not None and compare(moment, _moment(value))
    if isinstance(cell, float):
        # The value is read as the nearest double; NaN compares with nothing.
        return compare(cell, float(value))
    mine = _number(cell)
    return mine is not None and compare(mine, number)


def _number(value: Any) -> Fraction | None:
    text = str(value)
    try:
        return Fraction(Decimal(text)) if text == text.strip() else None
    except (InvalidOperation, ValueError):
        return None


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
