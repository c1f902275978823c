"""What Arrow casts, it casts as Python does, and only what the laws of types accept."""

import re
from collections.abc import Callable
from datetime import date, datetime
from random import Random

import pyarrow as pa
import pytest

from engine.catalog.types import BIGINT, DATE, DOUBLE, TIMESTAMP, ColumnType
from engine.publishing.csv.arrow_casts import can_cast, cast


def _whole(cell: str) -> int | None:
    return int(cell) if re.fullmatch(r"-?(0|[1-9]\d*)", cell, re.ASCII) and str(int(cell)) == cell else None


def _day(cell: str) -> date | None:
    try:
        return date.fromisoformat(cell) if re.fullmatch(r"\d{4}-\d\d-\d\d", cell, re.ASCII) else None
    except ValueError:
        return None


def _moment(cell: str) -> datetime | None:
    try:
        pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
        return datetime.fromisoformat(cell) if re.fullmatch(pattern, cell, re.ASCII) else None
    except ValueError:
        return None


def _number(cell: str) -> float | None:
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", cell, re.ASCII):
        return None
    is_whole = re.fullmatch(r"[+-]?\d+", cell) is not None
    return float(cell) if not is_whole or int(cell) == int(float(cell)) else None


_TYPES: dict[str, tuple[ColumnType, Callable[[str], object], list[str], list[str]]] = {
    "BIGINT": (
        BIGINT, _whole,
        ["0", "-5", "9223372036854775807", "-9223372036854775808"],
        ["-0", "007", "+1", "0x1F", "0xFFFFFFFF", "1e2", "1.0", " 1", "9223372036854775808"],
    ),
    "DATE": (
        DATE, _day,
        ["0001-01-01", "2024-02-29", "9999-12-31"],
        ["0000-01-01", "2023-02-29", "2026-1-31", "2026-01-31 ", "20260131"],
    ),
    "TIMESTAMP": (
        TIMESTAMP, _moment,
        ["0001-01-01T00:00:00Z", "2026-01-31T10:04:05Z", "9999-12-31T23:59:59Z"],
        ["2026-01-31 10:04:05Z", "2026-01-31T10:04:05", "2026-01-31T24:00:00Z", "2026-01-31T10:04+0000",
         "2026-01-31T10:04:05.5Z", "0000-01-31T10:04:05Z", "2026-01-31T10+01:00", "2026-01-31T10:04:60Z"],
    ),
    "DOUBLE": (
        DOUBLE, _number,
        ["0", "-0.0", "007", ".5", "1.", "0.1", "9007199254740991", "123456.789", "0.30000000000000004"],
        ["NaN", "inf", "-Infinity", "1e00005", "9007199254740993", "1_0", "0x1F", " 1", "1,5"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", _TYPES)
def test_what_is_cast_has_the_value_that_python_reads(name: str) -> None:
    type_, read, usual, unusual = _TYPES[name]
    chance, taken = Random(name), 0
    for cell in usual:
        assert can_cast([cell], type_), cell
    for cell in unusual:
        assert not can_cast([*usual, cell], type_), cell
    for _ in range(4_000):
        text = chance.choice(usual + unusual)
        for _ in range(chance.choice([1, 1, 2])):
            place = chance.randrange(len(text))
            text = text[:place] + chance.choice("0123456789-+:.TZ eE_n") + text[place + chance.randrange(2) :]
        if can_cast([text], type_):
            (value,) = cast(pa.array([text]), type_).to_pylist()
            assert value == read(text), text
            taken += 1
    assert taken > 100


def test_nulls_stay_null_and_an_empty_cell_is_null() -> None:
    for type_, _, usual, _ in _TYPES.values():
        cells = pa.array(["left out", None, usual[0], "", usual[1]])[1:]
        found = cast(cells, type_)
        assert [value.is_valid for value in found] == [False, True, False, True]
        assert cast(pa.array([None], pa.string()), type_).null_count == 1


def test_a_type_that_is_found_keeps_the_text_of_every_cell() -> None:
    for type_, _, usual, _ in _TYPES.values():
        assert can_cast(usual, type_, found=True) == (type_ != DOUBLE)
        assert not can_cast([*usual, ""], type_, found=True)
