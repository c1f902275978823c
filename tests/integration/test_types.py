"""README's table of types shows how a cell of each type is exported in each format."""

import io
import json
import re
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.catalog.types import FAMILIES
from engine.errors import InvalidInput
from tests.helpers.engine import Engine

README = (Path(__file__).parents[2] / "engine/README.md").read_text("utf-8")

_MOMENT = datetime(2024, 1, 2, 10, 4, 5, 250_000, UTC)
EXAMPLES: dict[str, pa.Array] = {
    "VARCHAR": pa.array(['a "b", Ü']),
    "UUID": pa.array([uuid.UUID(int=2**100 + 1).bytes], pa.uuid()),
    "TINYINT": pa.array([-(2**7)], pa.int8()),
    "SMALLINT": pa.array([-(2**15)], pa.int16()),
    "INTEGER": pa.array([-(2**31)], pa.int32()),
    "BIGINT": pa.array([-(2**63)], pa.int64()),
    "UTINYINT": pa.array([2**8 - 1], pa.uint8()),
    "USMALLINT": pa.array([2**16 - 1], pa.uint16()),
    "UINTEGER": pa.array([2**32 - 1], pa.uint32()),
    "UBIGINT": pa.array([2**64 - 1], pa.uint64()),
    "DECIMAL": pa.array([Decimal("-12345678901234567890.1234567890")], pa.decimal128(38, 10)),
    "FLOAT": pa.array([0.1], pa.float32()),
    "DOUBLE": pa.array([0.1], pa.float64()),
    "BOOLEAN": pa.array([True]),
    "DATE": pa.array([date(1, 2, 3)]),
    "TIMESTAMP WITH TIME ZONE": pa.array([_MOMENT], pa.timestamp("us", "Europe/Berlin")),
    "TIME": pa.array([time(10, 4, 5, 250_000)], pa.time64("us")),
    "INTERVAL": pa.array([None], pa.binary(12)),
    "BLOB": pa.array([b"\x00\xff"], pa.binary()),
    "JSON": pa.array(['{"a":[1,null]}'], pa.json_()),
    "LIST": pa.array([[1, None]], pa.list_(pa.int64())),
    "STRUCT": pa.array([{"a": 1, "b": _MOMENT}], pa.struct([("a", pa.int8()), ("b", pa.timestamp("us"))])),
    "MAP": pa.array([[(1, "x")]], pa.map_(pa.int8(), pa.string())),
}


def row(engine: Engine, name: str) -> str:
    """The row of the table for a type, from the files themselves."""
    path = engine.write_parquet(pa.table({"n": [1], "x": EXAMPLES[name]}))
    if name == "INTERVAL":
        # Arrow does not write Parquet's intervals.
        target = "'" + str(path) + "'"
        duckdb.sql(f"COPY (SELECT 1 AS n, INTERVAL '14 months 3 days 4.5 seconds' AS x) TO {target} (FORMAT parquet)")
    engine.publish(path)
    csv = engine.export_bytes("csv").decode().partition("\n1,")[2].removesuffix("\n")
    found = re.search(r'"x":(.*)}\n', engine.export_bytes("json").decode())
    assert found is not None
    json.loads(found[1])
    with pyarrow.parquet.ParquetFile(io.BytesIO(engine.export_bytes("parquet"))) as file:
        column = file.schema.column(1)
        assert file.metadata.row_group(0).column(1).compression == "ZSTD"
    logical = column.logical_type.type if column.max_repetition_level == 0 else name
    nested = column.path.startswith("x.")
    stored = name if nested else f"{column.physical_type}, {logical}" if logical != "NONE" else column.physical_type
    return f"| `{name}` | `{csv}` | `{found[1]}` | {stored} |"


@pytest.mark.parametrize("name", FAMILIES)
def test_the_readme_shows_how_each_type_is_exported(tmp_path: Path, name: str) -> None:
    assert row(Engine(tmp_path), name) in README.splitlines()


BROUGHT: dict[str, tuple[Any, Any]] = {
    "timestamp[s]": (pa.array([_MOMENT.replace(microsecond=0)], pa.timestamp("s")), "2024-01-02T10:04:05Z"),
    "timestamp[ms]": (pa.array([_MOMENT], pa.timestamp("ms")), "2024-01-02T10:04:05.25Z"),
    "timestamp[ns]": (pa.array([_MOMENT], pa.timestamp("ns")), "2024-01-02T10:04:05.25Z"),
    "timestamp[ns, UTC]": (pa.array([_MOMENT], pa.timestamp("ns", "UTC")), "2024-01-02T10:04:05.25Z"),
    "time32[ms]": (pa.array([time(1, 2, 3, 4000)], pa.time32("ms")), "01:02:03.004"),
    "time64[ns]": (pa.array([time(1, 2, 3, 4)], pa.time64("ns")), "01:02:03.000004"),
    "date64": (pa.array([date(9999, 12, 31)], pa.date64()), "9999-12-31"),
    "halffloat": (pa.array([1.5], pa.float16()), 1.5),
    "dictionary": (pa.array(["a"]).dictionary_encode(), "a"),
    "large_string": (pa.array(["a"], pa.large_string()), "a"),
    "string_view": (pa.array(["a"], pa.string_view()), "a"),
    "fixed_size_binary[2]": (pa.array([b"ab"], pa.binary(2)), "YWI="),
    "fixed_size_list": (pa.array([[1, 2]], pa.list_(pa.int8(), 2)), [1, 2]),
    "null": (pa.nulls(1), None),
    "nested three deep": (
        pa.array(
            [[{"m": [("k", [_MOMENT, None])]}]],
            pa.list_(pa.struct([("m", pa.map_(pa.string(), pa.list_(pa.timestamp("us"))))])),
        ),
        [{"m": {"k": ["2024-01-02T10:04:05.25Z", None]}}],
    ),
}


@pytest.mark.parametrize("name", BROUGHT)
def test_types_that_are_stored_as_another(tmp_path: Path, name: str) -> None:
    engine = Engine(tmp_path)
    array, wanted = BROUGHT[name]
    engine.publish(engine.write_parquet(pa.table({"x": array})))
    assert engine.export_rows() == [{"x": wanted}]


_US = 1_000_000
REFUSED: dict[str, pa.Array] = {
    "nanoseconds": pa.array([1], pa.timestamp("ns")),
    "nanoseconds in UTC": pa.array([1], pa.timestamp("ns", "UTC")),
    "nanoseconds of a day": pa.array([1], pa.time64("ns")),
    "nanoseconds within": pa.array([[{"t": 1}]], pa.list_(pa.struct([("t", pa.timestamp("ns", "UTC"))]))),
    "forty digits": pa.array([Decimal(1)], pa.decimal256(40, 0)),
    "no digit before the point": pa.array([Decimal("0.5")], pa.decimal128(38, 38)),
    "the year 10000": pa.array([253402300800 * _US], pa.timestamp("us")),
    "the year 0": pa.array([-62135596800 * _US - 1], pa.timestamp("us")),
    "the day after the last": pa.array([2932897], pa.date32()),
    "the year 10000 within": pa.array([[2932897]], pa.list_(pa.date32())),
    "the year 10000 in a key": pa.array([[(2932897, 1)]], pa.map_(pa.date32(), pa.int8())),
    "members equal but for case": pa.array([{"a": 1}], pa.struct([("a", pa.int8()), ("A", pa.int8())])),
    "a member without a name": pa.array([{"": 1}], pa.struct([("", pa.int8())])),
    "broken JSON": pa.array(['{"a"'], pa.json_()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_types_and_values_that_no_file_can_represent_are_refused(tmp_path: Path, name: str) -> None:
    engine = Engine(tmp_path)
    with pytest.raises(InvalidInput) as refused:
        engine.publish(engine.write_parquet(pa.table({"x": REFUSED[name]})))
    assert "x" in str(refused.value)
    assert engine.keys("w/") == []


def test_five_hundred_columns(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    rows = [{f"column_{n}": n * k if n % 7 else None for n in range(500)} for k in range(3)]
    engine.publish_rows(rows)
    assert engine.export_rows() == rows
    assert len(engine.export_bytes("csv").split(b"\n")[0].split(b",")) == 500


ODD_NAMES = [
    "a b",
    'say "x"',
    "it's",
    "a.b",
    "a.b.c",
    "Größe",
    "select",
    "from",
    "x;--",
    "列",
    "🙂",
    "$1",
    "p0",
    "\n",
    "x",
]


def test_odd_names_can_be_exported_filtered_and_sorted(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    rows = [{name: 100 * k + n for n, name in enumerate(ODD_NAMES)} for k in range(3)]
    engine.publish(engine.write_parquet(pa.Table.from_pylist(rows)))
    assert engine.export_rows() == rows
    for n, name in enumerate(ODD_NAMES):
        filters = [{"field": name, "operator": "GREATER_THAN", "value": 100 + n - 1}]
        assert engine.export_rows(filters=filters, sort_by=name, descending=True) == [rows[2], rows[1]]


def test_a_name_with_dots_takes_precedence_over_a_path(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    row = {"a": {"b": 1, "c": {"d": 2}, "c.d": 3, "e": 4}, "a.b": 5}
    engine.publish(engine.write_parquet(pa.Table.from_pylist([row])))
    for path, value in {"a.b": 5, "a.c.d": 3, "a.e": 4}.items():
        filters = [{"field": path, "operator": "EQUALS", "value": value}]
        assert engine.export_rows(filters=filters) == [row], path


def test_a_json_null_is_a_null(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.publish(
        engine.write_parquet(pa.table({"n": [1, 2, 3], "j": pa.array(["null", "[null]", None], pa.json_())}))
    )
    assert engine.export_bytes("csv") == b'n,"j"\n1,\n2,[null]\n3,\n'
    assert engine.export(filters=[{"field": "j", "operator": "IS_NULL"}]).rows == 2
