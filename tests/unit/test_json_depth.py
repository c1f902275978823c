"""The nesting of JSON text, counted before it is parsed, is what a parser would open."""

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
def test_nesting_of_json_is_the_depth_of_its_value(value: Any, ascii_only: bool) -> None:
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
def test_invalid_json_has_at_least_the_depth_that_a_parser_opens(text: str, depth: int) -> None:
    assert nesting_of(text) == depth


def test_the_maximum_depth_is_accepted_and_one_more_is_not() -> None:
    assert loads_within(b"[[1]]", 2) == [[1]]
    assert loads_within('["[", "["]', 1) == ["[", "["]
    for refused in ("[[1]]", b'{"a": {}}', "[[", "[" * 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            loads_within(refused, 1)


@pytest.mark.parametrize("text", ['["' + '\\"' * 2_000_000, '["' + '\\"' * 2_000_000 + "\\", '"a' * 1_000_000])
def test_unclosed_quotes_take_linear_time(text: str) -> None:
    # A search for the end of each quote from its start would take hours.
    check_nesting(text, 1)
    assert nesting_of(text) in (0, 1)
