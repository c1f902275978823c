"""Rows are sorted by their values, not by the text that a format writes for them."""

import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from engine.request.request import CsvOptions
from tests.helpers.engine import Engine
from tests.helpers.files import read_csv_cells, read_json, read_parquet

COLUMNS: dict[str, tuple[Any, list[Any]]] = {
    "double": (pa.float64(), [10.0, 9.0, float("nan"), -1.5, float("inf"), 1e22, float("-inf"), 100.0, 2.0]),
    "float": (pa.float32(), [10.0, 9.0, -1.5, 0.25, 100.0, 2.0, 1e10, -3.0, 0.0]),
    "integer": (pa.int64(), [10, 9, -1, 100, -100, 2, 20, 3, 0]),
    "decimal": (pa.decimal128(38, 2), [Decimal(n) / 4 for n in (40, 36, -6, 400, 8, -400, 80, 12, 0)]),
    "moment": (
        pa.timestamp("us", "UTC"),
        [datetime(2024, 1, 2, 10, 4, 5, n, tzinfo=UTC) for n in (0, 500_000, 50, 1, 999_999, 20, 3, 100, 10)],
    ),
    "day": (pa.date32(), [date(year, 1, 1) for year in (999, 1000, 1, 9999, 2024, 2023, 12, 100, 10)]),
    "time": (pa.time64("us"), [time(hour, 0, 0, hour) for hour in (10, 9, 0, 23, 1, 2, 20, 3, 12)]),
    "blob": (pa.binary(), [bytes([n]) for n in (0, 255, 62, 63, 26, 51, 52, 127, 128)]),
    "flag": (pa.bool_(), [True, False, True, True, False, False, True, False, True]),
    "text": (pa.string(), ["10", "9", "=1", "'", "a", "B", "é", "\U0001f600", "￿"]),
    "uuid": (pa.uuid(), [uuid.UUID(int=n << 120).bytes for n in (0, 255, 62, 63, 26, 51, 52, 127, 128)]),
}


def _key(value: Any) -> Any:
    # NaN is greater than all numbers.
    return (value != value, value)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    engine = Engine(tmp_path_factory.mktemp("order"))
    columns = {name: pa.array([*values[:4], None, *values[4:]], type_) for name, (type_, values) in COLUMNS.items()}
    engine.publish(engine.write_parquet(pa.table({"n": list(range(10)), **columns})))
    for name, column in columns.items():
        engine.publish(engine.write_parquet(pa.table({name: column}), "one.parquet"), workflow=f"only-{name}")
    return engine


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", COLUMNS)
def test_every_format_is_sorted_by_value(engine: Engine, name: str, descending: bool) -> None:
    values = [*COLUMNS[name][1][:4], None, *COLUMNS[name][1][4:]]
    present = sorted((n for n in range(10) if n != 4), key=lambda n: _key(values[n]), reverse=descending)
    if len(set(values)) < len(values):
        # Ties keep the order of the run, in reverse as well.
        present = sorted(present, key=lambda n: (_key(values[n])[1] is not descending, n))
    asked: dict[str, Any] = {"sort_by": name, "descending": descending}
    guarded = engine.export_bytes("csv", csv_options=CsvOptions(formula_guard=True), **asked)
    found = {
        "json": [row["n"] for row in read_json(engine.export_bytes("json", **asked))],
        "parquet": [row["n"] for row in read_parquet(engine.export_bytes("parquet", **asked))],
        "csv": [int(row[0] or "") for row in read_csv_cells(engine.export_bytes("csv", **asked))[1]],
        "guarded csv": [int(row[0] or "") for row in read_csv_cells(guarded)[1]],
    }
    assert found == {name: [*present, 4] for name in found}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_single_column_has_its_nulls_last(engine: Engine, name: str, descending: bool) -> None:
    asked: dict[str, Any] = {"workflow": f"only-{name}", "sort_by": name, "descending": descending}
    lines = engine.export_bytes("csv", **asked).decode().splitlines()
    assert lines[-1] == '""'
    assert '""' not in lines[:-1]
