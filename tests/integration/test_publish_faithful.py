"""A run is refused, not altered, where a stored type would change a value."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import InvalidInput
from tests.helpers.engine import Engine

CHANGED: dict[str, tuple[str, Any]] = {
    "a price in whole units with a fraction": ("MONEY", {"amount": 19.99, "currencyCode": "EUR"}),
    "a date with a time": ("DATE", "2026-01-31T10:00:00Z"),
    "a moment in nanoseconds": ("DATETIME", "2026-01-31T10:00:00.123456789Z"),
    "a number as a boolean": ("BOOLEAN", 1),
    "a word as a boolean": ("BOOLEAN", "yes"),
    "a boolean as a number": ("NUMBER", True),
    "an integer that a double rounds": ("NUMBER", 2**53 + 1),
    "an integer of thirty digits": ("NUMBER", 10**30 + 1),
    "a text as a number": ("NUMBER", "12 pcs"),
    "a text of digits that a double rounds": ("NUMBER", "9007199254740993"),
    "a text beyond the doubles": ("NUMBER", "1e999"),
    "a text of forty digits": ("NUMBER", "1" + 40 * "0"),
}

KEPT: dict[str, tuple[str, Any, Any]] = {
    "a price in whole units": ("MONEY", {"amount": 1999, "currencyCode": "EUR"}, None),
    "a price without an amount": ("MONEY", {"amount": None, "currencyCode": "EUR"}, None),
    "a date": ("DATE", "2026-01-31", None),
    "a moment with an offset": ("DATETIME", "2026-01-31T10:00:00.5+02:00", "2026-01-31T08:00:00.5Z"),
    "a moment without seconds": ("DATETIME", "2026-01-31T10:00Z", "2026-01-31T10:00:00Z"),
    "a moment to the minute, with an offset": ("DATETIME", "2026-01-31 10:00-01:30", "2026-01-31T11:30:00Z"),
    "a number as text": ("NUMBER", "12.5", 12.5),
    "a number with its sign": ("NUMBER", "+5", 5.0),
    "no number, as text": ("NUMBER", "NaN", "lost"),
    "a large integer that a double holds": ("NUMBER", 2**60, float(2**60)),
    "null": ("NUMBER", None, None),
}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


@pytest.mark.parametrize("name", CHANGED)
def test_a_json_value_that_would_change_is_refused(engine: Engine, name: str) -> None:
    data_type, value = CHANGED[name]
    with pytest.raises(InvalidInput, match="cell is"):
        engine.publish_rows([{"cell": None}, {"cell": value}], schema=engine.write_schema(cell=data_type))


@pytest.mark.parametrize("name", KEPT)
def test_a_json_value_that_keeps_its_value_is_taken(engine: Engine, name: str) -> None:
    data_type, value, wanted = KEPT[name]
    engine.publish_rows([{"cell": value}], schema=engine.write_schema(cell=data_type))
    # JSON has no word for NaN and the infinities (web/API.md, section 5).
    expected = None if wanted == "lost" else value if wanted is None else wanted
    assert engine.export_rows() == [{"cell": expected}]


@pytest.mark.parametrize(
    ("data_type", "cell"),
    [
        ("DATE", "2026-01-31T10:00:00Z"),
        ("NUMBER", "1_000"),
        ("NUMBER", "9007199254740993"),
        ("NUMBER", "-9007199254740993"),
        ("NUMBER", "1e999"),
        ("BOOLEAN", "1"),
        ("MONEY", json.dumps({"amount": 1.5})),
    ],
)
def test_a_csv_cell_that_would_change_is_refused(engine: Engine, data_type: str, cell: str) -> None:
    with pytest.raises(InvalidInput, match="cell is"):
        engine.publish(
            engine.write_csv(["cell", "x"], [[cell, "x"]]), schema=engine.write_schema(cell=data_type, x="STRING")
        )


@pytest.mark.parametrize("number", ["1e400", "9007199254740993"])
def test_json_numbers_are_text_if_a_double_changes_one(engine: Engine, number: str) -> None:
    engine.publish(engine.write("rows.json", f'[{{"cell": 0.5}}, {{"cell": {number}}}]'))
    assert engine.export_rows() == [{"cell": "0.5"}, {"cell": number}]


def test_an_object_with_a_member_without_a_name_stays_as_it_is(engine: Engine) -> None:
    rows: list[dict[str, object]] = [{"cell": {"": 1, "a": [2]}}, {"cell": {"A": 1, "a": 2}}]
    engine.publish_rows(rows)
    assert engine.export_rows() == rows


@pytest.mark.parametrize("nanoseconds", [1_700_000_000_123_456_000, 1_700_000_000_123_456_789])
def test_parquet_nanoseconds_are_taken_only_if_they_are_microseconds(
    engine: Engine, tmp_path: Path, nanoseconds: int
) -> None:
    path = tmp_path / "moments.parquet"
    pq.write_table(pa.table({"t": pa.array([nanoseconds, None], pa.timestamp("ns"))}), path)
    if nanoseconds % 1000:
        with pytest.raises(InvalidInput, match="row 1: the column t has nanoseconds"):
            engine.publish(path)
    else:
        engine.publish(path)
        assert [row["t"] for row in engine.export_rows()] == ["2023-11-14T22:13:20.123456Z", None]
