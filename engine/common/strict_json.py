"""A strict JSON parser (RFC 8259) for untrusted text.

Python's parser accepts NaN and Infinity, takes the last of duplicate names, accepts lone surrogates and rounds numbers
to doubles; each of these would change the meaning of a request.
"""

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import NoReturn

from engine.common.json_depth import check_nesting
from engine.errors import quoted_excerpt

MAX_DEPTH = 16
_MAX_INT_DIGITS = 100
_MAX_EXPONENT = 400


def loads(text: str) -> object:
    """Parse JSON text. Integers of up to 100 digits become int, other numbers Decimal, exactly.

    Raises ValueError with a message for the caller.
    """
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
        # The text is a valid JSON number, so its exponent is too large for a Decimal.
        raise ValueError("JSON with a number out of range") from None
    # Written without an exponent, the number has as many digits. Doubles end at 308 and -324.
    if abs(value.adjusted()) > _MAX_EXPONENT:
        raise ValueError("JSON with a number out of range")
    return value


def _integer(text: str) -> int | Decimal:
    # int() takes quadratic time in the length of the text.
    return int(text) if len(text) <= _MAX_INT_DIGITS else _decimal(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"JSON with {text}, which is not a JSON value")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) < len(pairs):
        duplicate = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"JSON with the duplicate name {quoted_excerpt(duplicate)} in one object")
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
        raise ValueError("JSON with a lone surrogate in a string, which is not valid Unicode") from None
