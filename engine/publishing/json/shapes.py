"""What rows of JSON look like: the names and kinds of their values, without the values.

Rows of one shape share one `Shape`, so that a million rows cost no more memory than the shapes that they have.
"""

import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from enum import Enum, auto
from json import JSONDecoder
from typing import Any

from engine.common.duckdb_versions import JSON_LEVELS
from engine.errors import quoted_excerpt

MAX_DEPTH = JSON_LEVELS
"""Levels of objects and lists in a row, at most."""
TOO_DEEP = f"objects and lists are nested deeper than {MAX_DEPTH} levels"
"""The reason for a refusal, whether this limit is met or the parser's, which depends on the interpreter's version."""

_EXACT_DIGITS = 16
"""Numbers of fewer characters are exact as doubles."""
_MAX_SHAPES = 20_000
_LONE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")


class Kind(Enum):
    """Kinds of scalars, as far as a stored type depends on them."""

    NULL = auto()
    BOOLEAN = auto()
    WHOLE = auto()
    """A BIGINT that a double holds exactly, and that the shortest text of the double is, too."""
    LONG = auto()
    """A BIGINT that a double, or its text, may round."""
    MINUS_ZERO = auto()
    """The whole number ``-0``, whose text DuckDB would write as ``0``."""
    HUGE = auto()
    """A whole number of up to 38 digits."""
    BEYOND = auto()
    """A whole number of more."""
    FRACTION = auto()
    LONG_FRACTION = auto()
    """With more digits than a double keeps."""
    OUT_OF_RANGE = auto()
    """A number that no double holds."""
    NOT_A_NUMBER = auto()
    """NaN and the infinities, which are not JSON, but which Python and DuckDB write and read."""
    TEXT = auto()

    # Enum's own is a function of Python, and kinds are looked up for every row.
    __hash__ = object.__hash__


class Shape:
    """An object or a list: what is in it."""

    __slots__ = ("depth", "items", "members")

    def __init__(self, members: tuple[tuple[str, "Seen"], ...] | None, items: tuple["Seen", ...]) -> None:
        self.members = members
        """Of an object; None for a list."""
        self.items = items
        inner = items if members is None else [value for _, value in members]
        self.depth: int = 1 + max((value.depth for value in inner if isinstance(value, Shape)), default=0)


Seen = Shape | Kind


class BadRow(Exception):
    """A row that is not taken; the text says why."""


_KINDS: dict[type, Kind] = {str: Kind.TEXT, bool: Kind.BOOLEAN, type(None): Kind.NULL}


class ShapeDecoder:
    """Decodes JSON text to shapes: linear in the length of the text."""

    def __init__(self) -> None:
        self._objects: dict[tuple[Any, ...], Shape] = {}
        self._lists: dict[frozenset[Seen], Shape] = {}
        self.json = JSONDecoder(
            parse_int=_whole, parse_float=_fraction, parse_constant=_constant, object_pairs_hook=self._object
        )
        """Raises BadRow from within; its result is given to `seen`."""

    def seen(self, value: Any) -> Seen:
        """The shape of a decoded value."""
        if value.__class__ is Shape or value.__class__ is Kind:
            return value
        return self._list(value) if value.__class__ is list else _KINDS[value.__class__]

    def forget(self) -> bool:
        """Forget the shapes if there are too many, as where names of members are data; whether it did."""
        if len(self._objects) + len(self._lists) < _MAX_SHAPES:
            return False
        self._objects.clear()
        self._lists.clear()
        return True

    def _object(self, pairs: list[tuple[str, Any]]) -> Shape:
        seen, kind_of = self.seen, _KINDS.get
        key = tuple(
            [
                (name, kind_of(value.__class__) or (value if value.__class__ is Kind else seen(value)))
                for name, value in pairs
            ]
        )
        shape = self._objects.get(key)
        if shape is None:
            repeated = next((name for name, count in Counter(name for name, _ in pairs).items() if count > 1), None)
            if repeated is not None:
                raise BadRow(f"an object has the member {quoted_excerpt(repeated)} twice")
            shape = self._objects[key] = _checked(Shape(key, ()))
        return shape

    def _list(self, values: Sequence[Any]) -> Shape:
        key = frozenset([value if value.__class__ is Shape else self.seen(value) for value in values])
        shape = self._lists.get(key)
        if shape is None:
            # Members of objects in the order in which they come.
            ordered = tuple(dict.fromkeys(self.seen(value) for value in values))
            shape = self._lists[key] = _checked(Shape(None, ordered))
        return shape


def check_surrogates(text: str) -> None:
    """Raise BadRow if a text in this JSON has half of a surrogate pair, which no UTF-8 can hold."""
    if _LONE.search(text) is None:
        return
    try:
        repr(JSONDecoder().decode(text)).encode()
        _plain(JSONDecoder().decode(text)).encode()
    except UnicodeEncodeError:
        raise BadRow("a text has half of a surrogate pair (\\ud800 to \\udfff), which is not Unicode") from None


def _plain(value: Any) -> str:
    """All text in a value."""
    if isinstance(value, dict):
        return "".join([*value, *map(_plain, value.values())])
    return "".join(map(_plain, value)) if isinstance(value, list) else value if isinstance(value, str) else ""


def _checked(shape: Shape) -> Shape:
    if shape.depth > MAX_DEPTH:
        raise BadRow(TOO_DEEP)
    return shape


def _whole(text: str) -> Kind:
    if len(text) < _EXACT_DIGITS:
        return Kind.MINUS_ZERO if text == "-0" else Kind.WHOLE
    digits = len(text.lstrip("-"))
    if digits > 38:
        return Kind.BEYOND
    number = int(text)
    if not -(2**63) <= number < 2**63:
        return Kind.HUGE
    return Kind.WHOLE if Decimal(repr(float(number))) == number else Kind.LONG


def _fraction(text: str) -> Kind:
    if len(text) <= _EXACT_DIGITS and "e" not in text and "E" not in text:
        return Kind.FRACTION
    number = float(text)
    if number in (float("inf"), float("-inf")):
        return Kind.OUT_OF_RANGE
    # Python's exponents end far beyond those of doubles, but they do end.
    if number == 0:
        is_small = any(digit in "123456789" for digit in text.lower().partition("e")[0])
        return Kind.LONG_FRACTION if is_small else Kind.FRACTION
    if len(text) > 1_000 or Decimal(repr(number)) != Decimal(text):
        return Kind.LONG_FRACTION
    return Kind.FRACTION


def _constant(_text: str) -> Kind:
    return Kind.NOT_A_NUMBER
