"""Random types and cells of generated columns."""

import json
import math
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pyarrow as pa

from tests.property import shapes
from tests.property.shapes import LEAVES, TOP_LEAVES, Shape

WORDS = (
    *("", "a", "A", "abc", "ABC", "xaBcx", "b", "%", "_", "a%c", "a_c", "it's", 'say "hi"', '"', "back\\slash"),
    *(".*", "^a$", "Ünï", "ünÏ", "é", "e\u0301", "\ufb00", "ß", "ẞ", "\u212a", "k", "\u03a3", "\u03c3", "\u03c2", "😀"),
    *("\U0001f469\u200d\U0001f4bb", "\U0010ffff", "\u05d0\u05d1", "\u202eabc", "\u200b", "\ufeff", "\xa0", "\x85"),
    *("\ufffd", "\uffff", "5", "05", "5.0", "-5", "+5", "-1e3", ".5", "5.", "12 apples", "0x10", "NaN", "Infinity"),
    *(" 5", "5 ", "1_000", "٣", "true", "null", "NULL", "None", "{}", "[]", '{"a": 1}', "000000000001", "1e-5"),
    *("9007199254740993", "2026-06-15", "2026-06-15T12:30:15Z", "2026-06-15 12:30:15", "2026-06-15T12:30:16Z"),
    *("2026-06-14T23:00:00-05:00", "2026-06-15T12:30", "2026-06-15T12:30:15.000001Z", "2026-02-30", "0001-01-01"),
    *("9999-12-31T23:59:59Z", "2026-6-1", "=1+1", "+x", "-x", "@a", "\tx", "\rx", "'=1", "a,b", "a;b", "a\tb"),
    *("l\nm", "l\r\nm", "\r", "\n", "\x00", "a\x00b", " lead", "trail ", "a\\nb", "\\", "' OR 1=1 --", "$1", "{x}"),
    *("?", "\x1f", "\u2028", "-0", "1e-400", "2026-06-15T12:30+05:30", "2026-06-15T12:30:15+05"),
    "1970-01-01T00:00:00.000Z",
)
NAMES = (
    *("a", "b", "name", "Select", "order", "group", "from", "row", "table", "x y", " lead", "per cent %", "it's"),
    *('qu"ote', "a.b", "b.", ".", "$p0", "$parts", "ключ", "名前", "é", "😀", "back\\slash", "new\nline", "tab\t"),
    *("{x}", "?", "=1+1", "comma,semi;colon", "1st", "null", "rowid", "filename", "value", "key", "item"),
    *("element", "n" * 70, "A0", "-n", "run", "workflow"),
)
_LETTERS = "abcABC xyz%_\\'\"\x00\n\r\t,;=+-@.[](){}*?^$|0123456789éÉßäÄñ\u03a9\u03c9Жж\u05d0\u0661\u0301\u202e名😀"
_MEMBERS = ("a", "b c", "", 'q"')
_SPECIAL = (0.0, -0.0, 1.0, 0.1, 0.3, -5.5, 2.0**24, 2.0**53, math.inf, -math.inf, math.nan)
_DOUBLES = (*_SPECIAL, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e22, 1e16, 123456789012345680.0)
_FLOATS = (*_SPECIAL, 2.0**-149, 2.0**-126, 3.4028234663852886e38, 16777217.0, 1e10)
_DAYS = (*(date(2026, 6, day) for day in (1, 13, 14, 15, 16)), date(1, 1, 1), date(9999, 12, 31), date(1969, 12, 31))
_FIRST, _LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001  # made UTC below
_MOMENTS = tuple(
    datetime.fromisoformat(text)
    for text in (
        *("2026-06-15T12:30:15", "2026-06-15T12:30:15.000001", "2026-06-15T12:30:14.999999", "2026-06-15"),
        *("2026-06-14", "2026-06-13T23:59:59.999999", "1969-12-31T23:59:59.5", "1970-01-01", "2024-01-02T10:04:05"),
    )
)
_STEP = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 1}


def rounded(number: float) -> float:
    """Round to the nearest FLOAT."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def _text(chance: Random, shape: Shape) -> str:
    return chance.choice(WORDS) if chance.random() < 0.8 else "".join(chance.choices(_LETTERS, k=chance.randint(1, 9)))


def _integer(chance: Random, shape: Shape) -> int:
    low = -(2 ** (shape.arrow.bit_width - 1)) if pa.types.is_signed_integer(shape.arrow) else 0
    high = low + 2**shape.arrow.bit_width - 1
    ends = [low, low + 1, high, high - 1, 0, 1, 5, min(high, 2**53 + 1)]
    return chance.choice(ends) if chance.random() < 0.5 else chance.randint(low, high)


def _decimal(chance: Random, shape: Shape) -> Decimal:
    greatest = 10**shape.arrow.precision - 1
    ends = [0, 1, -1, 5, greatest, -greatest, greatest // 2]
    digits = chance.choice(ends) if chance.random() < 0.5 else chance.randint(-greatest, greatest)
    return Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -shape.arrow.scale))


def _float(chance: Random, shape: Shape) -> float:
    return rounded(
        chance.choice(_FLOATS) if chance.random() < 0.6 else chance.gauss(0, 10.0 ** chance.randint(-30, 30))
    )


def _double(chance: Random, shape: Shape) -> float:
    return chance.choice(_DOUBLES) if chance.random() < 0.6 else chance.gauss(0, 10.0 ** chance.randint(-300, 300))


def _date(chance: Random, shape: Shape) -> date:
    return chance.choice(_DAYS) if chance.random() < 0.6 else date.fromordinal(chance.randint(1, _LAST.toordinal()))


def _moment(chance: Random, shape: Shape) -> datetime:
    step = _STEP[shape.arrow.unit]
    # Nanoseconds in 64 bits end in 1677 and 2262.
    first, last = (_FIRST.replace(year=1700), _LAST.replace(year=2200)) if shape.arrow.unit == "ns" else (_FIRST, _LAST)
    moment = chance.choice([first, *_MOMENTS, last])
    if chance.random() < 0.4:
        moment = first + timedelta(microseconds=chance.randrange((last - first) // timedelta(microseconds=1)))
    return moment.replace(microsecond=moment.microsecond // step * step, tzinfo=UTC)


def _time(chance: Random, shape: Shape) -> time:
    random = time(chance.randrange(24), chance.randrange(60), chance.randrange(60), chance.randrange(10**6))
    found = chance.choice([time(0), time(23, 59, 59, 999999), time(1, 2, 3), time(1, 2, 3, 500000), random])
    step = _STEP[shape.arrow.unit]
    return found.replace(microsecond=found.microsecond // step * step)


def _json(chance: Random, depth: int) -> Any:
    match chance.randrange(6 if depth else 4):
        case 0:
            return chance.choice([True, False, 0.5, -1.25, 1e100])
        case 1:
            return chance.choice([0, -1, 2**63, -(2**63), 2**64 - 1, chance.randint(-(10**9), 10**9)])
        case 2 | 3:
            return chance.choice(["", 'é\n"', "\x00", "\\", "a"])
        case 4:
            return [chance.choice([None, _json(chance, depth - 1)]) for _ in range(chance.randint(0, 3))]
        case _:
            names = chance.sample(_MEMBERS, chance.randint(0, 2))
            return {name: chance.choice([None, _json(chance, depth - 1)]) for name in names}


def _json_text(chance: Random, shape: Shape) -> str:
    return json.dumps(_json(chance, 2), ensure_ascii=False, separators=(",", ":"))


_CELLS: dict[str, Callable[[Random, Shape], Any]] = {
    shapes.TEXT: _text,
    shapes.UUID: lambda chance, shape: UUID(int=chance.choice([0, 2**128 - 1, chance.getrandbits(128)])),
    shapes.INTEGER: _integer,
    shapes.DECIMAL: _decimal,
    shapes.FLOAT: _float,
    shapes.DOUBLE: _double,
    shapes.BOOLEAN: lambda chance, shape: chance.random() < 0.5,
    shapes.DATE: _date,
    shapes.TIMESTAMP: _moment,
    shapes.TIME: _time,
    shapes.BINARY: lambda chance, shape: chance.randbytes(chance.randint(0, 5)),
    shapes.JSON: _json_text,
}


def cell(chance: Random, shape: Shape) -> Any:
    """A random value of a type: not null, but nested values may contain nulls."""
    make = _CELLS.get(shape.family)
    if make is not None:
        return make(chance, shape)
    if shape.family == shapes.STRUCT:
        return {name: _maybe(chance, child) for name, child in shape.children}
    length = chance.choice([0, 1, 1, 2, 3])
    if shape.family == shapes.LIST:
        return [_maybe(chance, shape.item) for _ in range(length)]
    (_, key), (_, value) = shape.children
    # Keys that are equal are one; so are two NaN.
    keys = {
        repr(name + 0.0 if isinstance(name, float) else name): name
        for name in (cell(chance, key) for _ in range(length))
    }
    return [(name, _maybe(chance, value)) for name in keys.values()]


def _maybe(chance: Random, shape: Shape) -> Any:
    return None if chance.random() < 0.2 else cell(chance, shape)


_KEYS = {
    shapes.TEXT,
    shapes.INTEGER,
    shapes.DATE,
    shapes.TIMESTAMP,
    shapes.UUID,
    shapes.BOOLEAN,
    shapes.DOUBLE,
    shapes.DECIMAL,
}
_KEY_SHAPES = [leaf for leaf in LEAVES if leaf.family in _KEYS]


def names(chance: Random, most: int) -> list[str]:
    """Names of columns or members that differ in more than case."""
    return chance.sample(NAMES, chance.randint(1, most))


def shape_of(chance: Random, depth: int = 3, leaves: tuple[Shape, ...] = TOP_LEAVES) -> Shape:
    """A random type, nested up to three levels deep."""
    kind = chance.choice(["leaf"] * 8 + ["list", "list", "struct", "struct", "map"]) if depth else "leaf"
    match kind:
        case "leaf":
            family = chance.choice(sorted({leaf.family for leaf in leaves}) + [shapes.TEXT] * 5 + [shapes.DATE])
            return chance.choice([leaf for leaf in leaves if leaf.family == family])
        case "list":
            return shapes.list_of(shape_of(chance, depth - 1, LEAVES))
        case "map":
            return shapes.map_of(chance.choice(_KEY_SHAPES), shape_of(chance, depth - 1, LEAVES))
        case _:
            return shapes.struct_of({name: shape_of(chance, depth - 1, LEAVES) for name in names(chance, 3)})
