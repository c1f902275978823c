"""Read filter values in the type of the column that they are compared with.

The values of integer, decimal, date and timestamp types form a grid. A value between two points of the grid is read as
the point below it with ``exact=False``, which is enough for every comparison to be correct without rounding.
"""

import math
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal, localcontext

from engine.catalog.types import INTEGER_BITS, ColumnType, Family

NUMBER_PATTERN = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?"
"""A number in a text cell or in a filter value that is a string."""

INSTANT_PATTERN = (
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-]([01]\d|2[0-3])(:[0-5]\d)?)?)?"
)
"""An ISO 8601 date or date-time in a text cell or filter value; UTC unless it has an offset."""

_NUMBER = re.compile(NUMBER_PATTERN, re.ASCII)
_INSTANT = re.compile(INSTANT_PATTERN, re.ASCII)
_FRACTION = re.compile(r"\.(\d+)")
_MAX_DIGITS = 40
"""More than the digits of any type of a grid."""


@dataclass(frozen=True, slots=True)
class Point:
    """A value on a type's grid: the greatest point that is not above it, as text for a CAST.

    ``text`` is None for a value beyond the type's range; ``sign`` is then 1 if it is above, and -1 if it is below.
    """

    text: str | None
    exact: bool = True
    sign: int = 0


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment in UTC with microseconds; ``exact`` is False if finer digits were cut off."""

    moment: datetime
    exact: bool


def read_number(value: object) -> Decimal | None:
    """Return a number, or the number that a string spells; otherwise None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, float) and math.isfinite(value):
        return Decimal(repr(value))
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    return None


def read_instant(value: object) -> Instant | None:
    """Return the moment that an ISO 8601 string names; otherwise None."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return None
    fraction = _FRACTION.search(value)
    digits = fraction.group(1) if fraction else ""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(lambda found: f".{found.group(1):0<6.6}", value))
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return Instant(moment, exact=not digits[6:].strip("0"))


def read_boolean(value: object) -> bool | None:
    """Return a boolean, or the one that a string spells; otherwise None."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def read_text(value: object) -> str:
    """Return a scalar as the text that is compared with a text cell."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def number_point(number: Decimal, type_: ColumnType) -> Point:
    """Return the number on the grid of an INTEGER or DECIMAL type."""
    digits, scale = (19, 0) if type_.family is Family.INTEGER else (type_.precision or 0, type_.scale or 0)
    sign = (number > 0) - (number < 0)
    if number and number.adjusted() > _MAX_DIGITS:
        return Point(None, sign=sign)
    if number and number.adjusted() < -_MAX_DIGITS:
        number = Decimal(sign).scaleb(-_MAX_DIGITS)
    with localcontext(prec=4 * _MAX_DIGITS + len(number.as_tuple().digits)):
        floor = number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_FLOOR)
        if type_.family is Family.INTEGER:
            bits, signed = INTEGER_BITS[type_.name]
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
            outside = (floor > high) - (floor < low)
        else:
            outside = sign if abs(floor) >= Decimal(10) ** (digits - scale) else 0
        if outside:
            return Point(None, sign=outside)
        return Point(format(floor, "f"), exact=floor == number)


def float_value(number: Decimal, type_: ColumnType) -> float:
    """Return the nearest FLOAT or DOUBLE, infinite beyond the type's range."""
    # Adding 0.0 turns -0.0 into 0.0.
    value = float(number) + 0.0
    if type_.name != "FLOAT":
        return value
    try:
        narrow: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return narrow


def instant_point(instant: Instant, type_: ColumnType) -> Point:
    """Return the moment on the grid of a DATE or TIMESTAMP type."""
    if type_.family is Family.DATE:
        midnight = instant.moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return Point(instant.moment.date().isoformat(), exact=instant.exact and instant.moment == midnight)
    return Point(instant.moment.isoformat(" ", timespec="microseconds"), exact=instant.exact)


def last_days(days: int, now: datetime) -> tuple[Instant, Instant]:
    """Return midnight UTC ``days`` days before today, but not before year 1, and ``now``."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = datetime(1, 1, 1, tzinfo=UTC)
    days = min(days, (midnight - first).days)
    return Instant(midnight - timedelta(days=days), exact=True), Instant(now, exact=True)
