"""A limit on how deep JSON is nested, checked on the text before any reader sees it.

Readers have limits of their own: Python's depends on the interpreter's version, DuckDB's is the end of its stack.
"""

import json
import re
from array import array
from itertools import accumulate

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or the rest of the text after a quote that nothing closes; so each character is read once."""

_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", bytes([1, 1, 0xFF, 0xFF]))
"""As signed bytes, one level down and one up."""


def nesting_of(text: str) -> int:
    """How many lists and objects are open at once, at most; of text that is not JSON, no less than a reader opens."""
    brackets = _STRING.sub(b"", text.encode("utf-8", "surrogatepass")).translate(_STEPS, _OTHERS)
    return max(accumulate(array("b", brackets), initial=0))


def check_nesting(text: str, max_depth: int) -> None:
    """Raise ValueError for JSON text that is nested more deeply than that."""
    # Most texts have fewer brackets in all.
    if text.count("[") + text.count("{") > max_depth and nesting_of(text) > max_depth:
        raise ValueError("nested too deeply")


def loads_within(text: str | bytes, max_depth: int) -> object:
    """`json.loads` of text that is not nested more deeply than that. Raises ValueError."""
    text = text.decode() if isinstance(text, bytes) else text
    check_nesting(text, max_depth)
    return json.loads(text)
