"""A limit on the nesting of JSON, checked on the text before it is parsed.

The parsers' own limits vary: Python's depends on the interpreter's version, DuckDB's is the size of its stack.
"""

import json
import re
from array import array
from itertools import accumulate

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or the rest of the text after an unclosed quote, so that each character is read once."""

_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", bytes([1, 1, 0xFF, 0xFF]))
"""Brackets as signed bytes: +1 for an opening one, -1 for a closing one."""


def nesting_of(text: str) -> int:
    """The maximum number of lists and objects that are open at once; for invalid JSON, at least what a parser opens."""
    brackets = _STRING.sub(b"", text.encode("utf-8", "surrogatepass")).translate(_STEPS, _OTHERS)
    return max(accumulate(array("b", brackets), initial=0))


def check_nesting(text: str, max_depth: int) -> None:
    """Raise ValueError if JSON text is nested more deeply than ``max_depth``."""
    # A quick check first: most texts have fewer brackets in total.
    if text.count("[") + text.count("{") > max_depth and nesting_of(text) > max_depth:
        raise ValueError("nested too deeply")


def loads_within(text: str | bytes, max_depth: int) -> object:
    """`json.loads`, but raises ValueError if the text is nested more deeply than ``max_depth``."""
    text = text.decode() if isinstance(text, bytes) else text
    check_nesting(text, max_depth)
    return json.loads(text)
