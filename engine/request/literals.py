"""Values of filters, read in the type of the column that they are held against.

Integers, decimals, dates and timestamps are grids: a value that lies between two points of the grid is told as the
point below and ``exact=False``, from which every comparison follows without rounding.
"""

import math
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal, localcontext

from engine.catalog.types import INTEGER_BITS, ColumnType, Family

NUMBER_PATTERN = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?"
"""A number in a text cell or a string value."""

INSTANT_PATTERN = (
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-]([01]\d|2[0-3])(:[0-5]\d)?)?)?"
)
"""An ISO 8601 date or time in a text cell or a string value; without an offset it is UTC."""

_NUMBER = re.compile(NUMBER_PATTERN, re.ASCII)
_INSTANT = re.compile(INSTANT_PATTERN, re.ASCII)
_FRACTION = re.compile(r"\.(\d+)")
_DIGITS_OF_TYPES = 40


@dataclass(frozen=True, slots=True)
class Point:
    """A value on a column's grid: the greatest point not above it, as text for a CAST.

    ``text`` is None where the value lies outside of all that the type can hold: ``sign`` tells on which side.
    """

    text: str | None
    exact: bool = True
    sign: int = 0


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment in UTC to the microsecond; ``exact`` is False if finer digits were dropped."""

    moment: datetime
    exact: bool


def read_number(value: object) -> Decimal | None:
    """The number that a value is or spells, or None."""
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
    """The moment that an ISO 8601 text names, or None."""
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
    """The boolean that a value is or spells, or None."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def read_text(value: object) -> str:
    """A scalar as the text that a cell of it would hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def number_point(number: Decimal, type_: ColumnType) -> Point:
    """The number on the grid of an INTEGER or DECIMAL type."""
    digits, scale = (19, 0) if type_.family is Family.INTEGER else (type_.precision or 0, type_.scale or 0)
    sign = (number > 0) - (number < 0)
    if number and number.adjusted() > _DIGITS_OF_TYPES:
        return Point(None, sign=sign)
    if number and number.adjusted() < -_DIGITS_OF_TYPES:
        number = Decimal(sign).scaleb(-_DIGITS_OF_TYPES)
    with localcontext(prec=4 * _DIGITS_OF_TYPES + len(number.as_tuple().digits)):
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
    """The nearest FLOAT or DOUBLE, infinite where the type ends."""
    # Zero without its sign: it is equal with and without.
    value = float(number) + 0.0
    if type_.name != "FLOAT":
        return value
    try:
        narrow: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return narrow


def instant_point(instant: Instant, type_: ColumnType) -> Point:
    """The moment on the grid of a DATE or a TIMESTAMP."""
    if type_.family is Family.DATE:
        midnight = instant.moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return Point(instant.moment.date().isoformat(), exact=instant.exact and instant.moment == midnight)
    return Point(instant.moment.isoformat(" ", timespec="microseconds"), exact=instant.exact)


def window(days: int, now: datetime) -> tuple[Instant, Instant]:
    """From midnight UTC ``days`` days before today up to now; the calendar begins in year 1."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = datetime(1, 1, 1, tzinfo=UTC)
    days = min(days, (midnight - first).days)
    return Instant(midnight - timedelta(days=days), exact=True), Instant(now, exact=True)
