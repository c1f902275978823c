"""The 19 operators over plain Python values, web/API.md, section 4: independent of DuckDB and of the engine."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

Row = dict[str, Any]
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
    """Whether a cell, as a Python value, matches a filter."""
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


def reach(row: Row, path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = row
    for name in path.split("."):
        value = None if value is None else value.get(name)
    return value


def matching_rows(rows: Sequence[Row], filters: Sequence[Mapping[str, Any]], now: datetime) -> list[Row]:
    """The rows that match all entries of ``filters``, in their order."""
    return [
        row
        for row in rows
        if all(matches(one["operator"], reach(row, one["field"]), one.get("value"), now) for one in filters)
    ]


def sorted_rows(rows: Sequence[Row], path: str, *, descending: bool) -> list[Row]:
    """Rows sorted with nulls last in both orders and ties in their order."""
    present = [row for row in rows if reach(row, path) is not None]
    # Python's sort keeps the order of equal rows, also in reverse.
    present.sort(key=lambda row: reach(row, path), reverse=descending)
    return present + [row for row in rows if reach(row, path) is None]


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
    cell_number = _number(cell)
    return cell_number is not None and compare(cell_number, number)


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
