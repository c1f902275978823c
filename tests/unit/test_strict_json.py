"""Strict JSON: exact numbers, and a ValueError for everything that RFC 8259 does not allow."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.common.strict_json import MAX_DEPTH, loads


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        (" [true , false] ", [True, False]),
        ('{"a": {"a": 1}, "b": [{"a": 2}]}', {"a": {"a": 1}, "b": [{"a": 2}]}),
        ("{}", {}),
        ('""', ""),
        ('"\\u0000\\ud83d\\ude00"', "\0😀"),
        ('"😀é"', "😀é"),
        ("-7", -7),
        ("9007199254740993", 9007199254740993),
        ("9" * 100, 10**100 - 1),
    ],
)
def test_valid_json_is_parsed(text: str, value: object) -> None:
    assert loads(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "0.1",
        "-0.0",
        "1.0",
        "1e2",
        "1E-7",
        "0.1000",
        "1e400",
        "1e-400",
        "9.9e400",
        "1e-324",
        "3.14159265358979323846",
    ],
)
def test_decimal_numbers_are_exact(text: str) -> None:
    value = loads(text)
    assert isinstance(value, Decimal)
    assert value.as_tuple() == Decimal(text).as_tuple()


def test_integers_are_not_booleans_or_decimals() -> None:
    assert [type(value) for value in (loads("1"), loads("true"), loads("1.0"))] == [int, bool, Decimal]


@pytest.mark.parametrize("digits", [101, 401])
def test_very_long_integers_are_exact_and_cheap(digits: int) -> None:
    value = loads("-" + "7" * digits)
    assert isinstance(value, Decimal)
    assert value.as_tuple() == (1, (7,) * digits, 0)


REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("", "not JSON: Expecting value at character 1"),
    "space": (" ", "not JSON"),
    "byte order mark": ("\ufeff{}", "not JSON"),
    "cut": ('{"a": 1', "not JSON"),
    "two values": ("1 2", "not JSON: Extra data at character 3"),
    "trailing comma": ("[1,]", "not JSON"),
    "comment": ("[1] // x", "not JSON"),
    "single quotes": ("{'a': 1}", "not JSON"),
    "name without quotes": ("{a: 1}", "not JSON"),
    "control character": ('"\n"', "not JSON"),
    "unknown escape": ('"\\x41"', "not JSON"),
    "Python's None": ("None", "not JSON"),
    "NaN": ("NaN", "NaN, which is not a JSON value"),
    "NaN within": ('[{"a": NaN}]', "NaN, which is not a JSON value"),
    "Infinity": ("Infinity", "Infinity, which is not a JSON value"),
    "-Infinity": ("[-Infinity]", "-Infinity, which is not a JSON value"),
    "leading zero": ("01", "not JSON"),
    "leading plus": ("+1", "not JSON"),
    "underscore": ("1_0", "not JSON"),
    "hexadecimal": ("0x1", "not JSON"),
    "bare point": ("1.", "not JSON"),
    "full-width digit": ("\uff11", "not JSON"),
    "huge exponent": ("1e9999999999999999999999", "a number out of range"),
    "huge negative exponent": ("[-1e-9999999999999999999999]", "a number out of range"),
    "zero with a huge exponent": ('{"a": 0e9999999999999999999999}', "a number out of range"),
    "exponent that would fill the memory": ("1e999999999", "a number out of range"),
    "exponent just too large": ("1e401", "a number out of range"),
    "exponent just too small": ("9e-401", "a number out of range"),
    "small exponent after many digits": ("1" + "0" * 300 + "e101", "a number out of range"),
    "integer of 402 digits": ("7" * 402, "a number out of range"),
    "integer of a million digits": ("7" * 1_000_000, "a number out of range"),
    "duplicate name": ('{"a": 1, "a": 1}', "duplicate name 'a'"),
    "duplicate name, escaped": ('{"a": 1, "\\u0061": 2}', "duplicate name 'a'"),
    "duplicate name within": ('[{"b": {"a": 1, "c": 2, "a": 3}}]', "duplicate name 'a'"),
    "high surrogate": ('"\\ud83d"', "lone surrogate"),
    "low surrogate": ('["x\\ude00"]', "lone surrogate"),
    "surrogates in the wrong order": ('"\\ude00\\ud83d"', "lone surrogate"),
    "unescaped surrogate": ('"\ud800"', "lone surrogate"),
    "surrogate in a name": ('[{"\\ud83d": 1}]', "lone surrogate"),
    "too deep": ("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH, "nested too deeply"),
    "objects too deep": ('{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH, "nested too deeply"),
    "far too deep": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "far too deep and cut": ("[" * 100_000, "nested too deeply"),
    "objects far too deep": ('{"a":' * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_invalid_json_raises_value_error(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        loads(text)
    # A subclass would let the caller mistake it for an error of another layer.
    assert type(caught.value) is ValueError


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_the_maximum_depth_is_parsed(opening: str, closing: str) -> None:
    # The innermost value counts as a level.
    depth = MAX_DEPTH - 1
    assert loads(opening * depth + "1" + closing * depth)
    with pytest.raises(ValueError, match="nested too deeply"):
        loads(opening * (depth + 1) + "1" + closing * (depth + 1))


SCALARS = st.none() | st.booleans() | st.integers(-(10**60), 10**60) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(VALUES, st.booleans())
def test_serialised_json_parses_to_the_same_value(value: object, ascii_only: bool) -> None:
    try:
        assert loads(json.dumps(value, ensure_ascii=ascii_only)) == value
    except ValueError as error:
        assert str(error) == "nested too deeply"  # noqa: PT017  (the depth of drawn values is not bounded)


PIECES = st.sampled_from(
    ["[", "]", "{", "}", ":", ",", '"', "\\u", "d83d", "1", "-", ".", "e", "9" * 30, "NaN", " ", "é"]
)


@given(st.text(max_size=40) | st.lists(PIECES, max_size=20).map("".join))
def test_arbitrary_text_raises_only_value_error(text: str) -> None:
    try:
        loads(text)
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017  (most texts raise, some are JSON)


@given(
    sign=st.sampled_from(["", "-"]),
    digits=st.integers(0, 10**40),
    exponent=st.integers(-600, 600) | st.integers(-(10**25), 10**25),
)
def test_any_exponent_is_exact_or_out_of_range(sign: str, digits: int, exponent: int) -> None:
    text = f"{sign}{digits}e{exponent}"
    if abs(exponent + len(str(digits)) - 1) > 400:
        with pytest.raises(ValueError, match="a number out of range"):
            loads(text)
        return
    value = loads(text)
    assert isinstance(value, Decimal)
    assert value.as_tuple() == (bool(sign), tuple(map(int, str(digits))), exponent)
