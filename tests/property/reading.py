"""Read the value of a filter by the contract, as an exact number or moment."""

import re
import struct
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d(?::\d\d)?)?)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Refused(Exception):
    """The contract requires a 400."""


@dataclass(frozen=True)
class Beyond:
    """A number beyond the range of a type, but not infinite."""

    sign: int


def number(value: Any) -> Fraction | None:
    """A number, or the number that a string spells."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Fraction(value)
    return Fraction(Decimal(value)) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def nearest(value: Fraction, code: str) -> float | Beyond:
    """The nearest DOUBLE (code ``d``) or FLOAT (``f``)."""
    try:
        return float(struct.unpack(f"<{code}", struct.pack(f"<{code}", float(value)))[0])
    except OverflowError:
        return Beyond(1 if value > 0 else -1)


def nanoseconds(value: Any) -> int | None:
    """Nanoseconds since 1970 of an ISO 8601 text, a date or a timestamp in UTC."""
    if isinstance(value, str):
        return _spelled(value)
    if isinstance(value, datetime):
        gap = value - _EPOCH
        return ((gap.days * 86_400 + gap.seconds) * 10**6 + gap.microseconds) * 1000
    return nanoseconds(datetime(value.year, value.month, value.day, tzinfo=UTC)) if isinstance(value, date) else None


def _spelled(text: str) -> int | None:
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
    except ValueError:
        return None
    base = nanoseconds(moment)
    assert base is not None
    return base + int((fraction or "").ljust(9, "0")) - _offset(zone)


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6] or 0)
    return (-minutes if zone[0] == "-" else minutes) * 60 * 10**9


def fold(text: str) -> str:
    """Lower-case text, character by character."""
    return "".join(map(str.lower, text))


def as_text(value: Any) -> str:
    """A scalar as the text of a cell."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)
