"""The nesting of JSON text, counted before it is read: it must be what a reader would open."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.common.json_depth import check_nesting, loads_within, nesting_of

_VALUES = st.recursive(
    st.none() | st.integers() | st.text('[]{}"\\,:a\n'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\'), inner, max_size=3),
    max_leaves=12,
)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


@given(_VALUES, st.booleans())
def test_it_is_the_depth_of_the_value(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert nesting_of(text) == _depth(value)


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("", 0),
        ("1", 0),
        ("[]", 1),
        ("[[]", 2),
        ("[" * 100_000, 100_000),
        ('{"a":' * 100_000, 100_000),
        ('["[[[', 1),
        ('["[[[\\', 1),
        ('["\\"[[["]', 1),
        ('["\\\\"[[', 3),
        ("]]]]", 0),
        ("\ud800[", 1),
    ],
)
def test_text_that_is_no_json_is_counted_too(text: str, depth: int) -> None:
    assert nesting_of(text) == depth


def test_the_limit_is_the_last_depth_that_is_read() -> None:
    assert loads_within(b"[[1]]", 2) == [[1]]
    assert loads_within('["[", "["]', 1) == ["[", "["]
    for refused in ("[[1]]", b'{"a": {}}', "[[", "[" * 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            loads_within(refused, 1)


@pytest.mark.parametrize("text", ['["' + '\\"' * 2_000_000, '["' + '\\"' * 2_000_000 + "\\", '"a' * 1_000_000])
def test_quotes_that_nothing_closes_are_read_once(text: str) -> None:
    # Looking for the end of each quote anew would take hours.
    check_nesting(text, 1)
    assert nesting_of(text) in (0, 1)
