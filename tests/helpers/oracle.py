"""What is right, by the contract, in plain Python: independent of DuckDB and of the code under test."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]
Predicate = Callable[[Row], bool]


def reach(row: Row, path: str) -> Any:
    """The value that a dotted path reaches, or None."""
    value: Any = row
    for name in path.split("."):
        value = None if value is None else value.get(name)
    return value


def equals(field: str, value: object) -> Predicate:
    """EQUALS: exact, any element of a list."""
    return lambda row: value in _elements(reach(row, field))


def contains(field: str, text: str) -> Predicate:
    """CONTAINS: case-insensitive, any element of a list."""
    return lambda row: any(text.lower() in element.lower() for element in _elements(reach(row, field)))


def one_of(field: str, values: Iterable[object]) -> Predicate:
    """IN."""
    wanted = list(values)
    return lambda row: any(element in wanted for element in _elements(reach(row, field)))


def greater_than(field: str, value: float) -> Predicate:
    """GREATER_THAN on numbers."""
    return lambda row: reach(row, field) is not None and reach(row, field) > value


def before(field: str, moment: str) -> Predicate:
    """BEFORE on dates that are kept as text."""
    return lambda row: reach(row, field) is not None and _moment(reach(row, field)) < _moment(moment)


def within_last_days(field: str, days: int, now: datetime) -> Predicate:
    """WITHIN_LAST_DAYS on dates that are kept as text."""
    first = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
    return lambda row: reach(row, field) is not None and first <= _moment(reach(row, field)) <= now


def ordered(rows: Sequence[Row], field: str, *, descending: bool) -> list[Row]:
    """Sorted with nulls last in both orders and ties in run order."""
    present = [row for row in rows if reach(row, field) is not None]
    # Python's sort keeps the order of equals, in reverse as well.
    present.sort(key=lambda row: reach(row, field), reverse=descending)
    return present + [row for row in rows if reach(row, field) is None]


def _elements(value: Any) -> list[Any]:
    if value is None:
        return []
    return [element for element in value if element is not None] if isinstance(value, list) else [value]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
