"""JSON as RFC 8259 has it, for text that strangers send.

Python's own reader takes NaN and Infinity, keeps the last of two equal names, lets lone surrogates through and rounds
numbers to doubles; each of these would change what was asked for.
"""

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import NoReturn

from engine.common.json_depth import check_nesting
from engine.errors import quoted_excerpt

MAX_DEPTH = 16
_LONGEST_INTEGER = 100
_LARGEST_EXPONENT = 400


def loads(text: str) -> object:
    """Read JSON text: integers as int, other numbers as Decimal, exactly. Raises ValueError with a sentence."""
    check_nesting(text, MAX_DEPTH)
    try:
        value = json.loads(
            text, parse_float=_decimal, parse_int=_integer, parse_constant=_refuse, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    _check(value, MAX_DEPTH)
    return value


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        # The grammar of JSON is kept by now: what is left is an exponent that no Decimal can hold.
        raise ValueError("a number out of range") from None
    # Whoever writes the number out needs as many digits; doubles end at 308 and -324.
    if abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("a number out of range")
    return value


def _integer(text: str) -> int | Decimal:
    # int() of very long texts costs time that grows with the square of their length.
    return int(text) if len(text) <= _LONGEST_INTEGER else _decimal(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"JSON in which an object has the name {quoted_excerpt(twice)} twice: keep one")
    return names


def _check(value: object, depth: int) -> None:
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name)
            _check(item, depth - 1)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a surrogate pair, which is not Unicode") from None
