"""Columns as Delta Sharing can name them: what is cast, what stays, and that no value changes."""

import io
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.catalog.types import FAMILIES
from engine.exports.export import export_of
from engine.plan import planner
from engine.plan.delta_types import CASTS, NAMES, delta_type
from engine.publishing import publisher
from tests.helpers.engine import Engine
from tests.helpers.thread_pool import ThreadPool

ID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
CAST: dict[str, tuple[str, Any, pa.DataType, Any]] = {
    "u8": ("CAST(255 AS UTINYINT)", 255, pa.int16(), 255),
    "u16": ("CAST(65535 AS USMALLINT)", 65535, pa.int32(), 65535),
    "u32": ("CAST(4294967295 AS UINTEGER)", 2**32 - 1, pa.int64(), 2**32 - 1),
    "u64": ("CAST(18446744073709551615 AS UBIGINT)", 2**64 - 1, pa.decimal128(20), Decimal(2**64 - 1)),
    "id": (f"CAST('{ID}' AS UUID)", ID, pa.string(), str(ID)),
    "at": ("TIME '10:04:05.25'", time(10, 4, 5, 250_000), pa.string(), "10:04:05.25"),
    "lasts": ("INTERVAL 1 DAY", None, pa.string(), "1 day"),
}
"""By column: the SQL of a value, the value, the type in the file, and the value there."""

KEPT: dict[str, tuple[str, pa.DataType, Any]] = {
    "i8": ("CAST(-128 AS TINYINT)", pa.int8(), -128),
    "i64": ("CAST(9223372036854775807 AS BIGINT)", pa.int64(), 2**63 - 1),
    "text": ("'é'", pa.string(), "é"),
    "money": ("CAST(1.25 AS DECIMAL(38,2))", pa.decimal128(38, 2), Decimal("1.25")),
    "half": ("CAST(0.5 AS FLOAT)", pa.float32(), 0.5),
    "yes": ("true", pa.bool_(), True),
    "day": ("DATE '2024-01-02'", pa.date32(), date(2024, 1, 2)),
    "moment": (
        "TIMESTAMPTZ '2024-01-02 10:04:05+00'",
        pa.timestamp("us", "UTC"),
        datetime(2024, 1, 2, 10, 4, 5, 0, UTC),
    ),
    "raw": ("'\\x00a'::BLOB", pa.binary(), b"\x00a"),
}

NESTED: dict[str, tuple[str, pa.DataType, Any]] = {
    "ids": (f"[CAST('{ID}' AS UUID), NULL]", pa.list_(pa.string()), [str(ID), None]),
    "inner": (
        "{'n': CAST(7 AS UINTEGER), 'deep': [{'at': TIME '01:02:03'}]}",
        pa.struct([("n", pa.int64()), ("deep", pa.list_(pa.struct([("at", pa.string())])))]),
        {"n": 7, "deep": [{"at": "01:02:03"}]},
    ),
    "map": (f"MAP {{CAST('{ID}' AS UUID): CAST(1 AS UTINYINT)}}", pa.map_(pa.string(), pa.int16()), [(str(ID), 1)]),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A row of values and a row of nulls."""
    engine = Engine(tmp_path_factory.mktemp("delta"))
    columns = {name: row[0] for name, row in (CAST | KEPT | NESTED).items()}
    cells = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
    nulls = ", ".join("NULL" for _ in columns)
    path = engine.folder / "rows.parquet"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY (SELECT {cells} UNION ALL SELECT {nulls}) TO '{path}' (FORMAT parquet)")
    engine.publish(path)
    return engine


def test_every_value_has_a_type_that_the_protocol_names(engine: Engine) -> None:
    export = engine.export("parquet", delta_types=True)
    table = pq.read_table(io.BytesIO(engine.content(export)))
    types = {name: row[2] for name, row in CAST.items()} | {name: row[1] for name, row in (KEPT | NESTED).items()}
    values = {name: row[3] for name, row in CAST.items()} | {name: row[2] for name, row in (KEPT | NESTED).items()}
    for name, wanted in types.items():
        column = table.column(name)
        assert column.type.equals(wanted) or str(column.type) == str(wanted), name
        assert column.to_pylist() == [values[name], None], name
    assert table.column_names == [*CAST, *KEPT, *NESTED]


def test_the_export_knows_the_types_of_its_file(engine: Engine) -> None:
    export = engine.export("parquet", delta_types=True)
    run = engine.results.resolve("w", None, "acme")
    assert {field.name: field.type for field in export.fields} == {
        field.name: delta_type(field.type) for field in run.table.delivered
    }
    info = next(info for info in engine.store.list("w/") if export.export_id in info.key)
    found = engine.store.head(info.key)
    assert found is not None
    assert export_of(export.export_id, run, run.table, found).fields == export.fields


def test_a_run_without_cast_types_has_one_file_for_all(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.publish_rows([{"n": 1, "text": "a", "tags": ["x"]}])
    assert engine.export("parquet", delta_types=True).export_id == engine.export("parquet").export_id


def test_a_run_with_cast_types_has_two_files(engine: Engine) -> None:
    assert engine.export("parquet", delta_types=True).export_id != engine.export("parquet").export_id


def test_every_stored_type_is_named_by_the_protocol_or_cast() -> None:
    for name in FAMILIES.keys() - {"LIST", "STRUCT", "MAP", "DECIMAL"}:
        assert (name in NAMES) is not (name in CASTS), name
    assert {type_.name for type_ in CASTS.values()} <= NAMES.keys() | {"DECIMAL"}


def test_the_tasks_of_a_cluster_write_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = "FORMAT parquet, ROW_GROUP_SIZE 2048, ROW_GROUPS_PER_FILE 1, FILENAME_PATTERN '{i}'"
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", options)
    monkeypatch.setattr(planner, "PARQUET_RANGE_BYTES", 1)
    numbers = pa.array(range(5_000), pa.uint64())
    pool = ThreadPool()
    engine = Engine(tmp_path, pool=pool)
    engine.publish(engine.write_parquet(pa.table({"n": numbers})))
    content = engine.export_bytes("parquet", delta_types=True)
    pool.threads.shutdown()
    assert pool.submitted > 1
    table = pq.read_table(io.BytesIO(content))
    assert table.column("n").type == pa.decimal128(20)
    assert table.column("n").to_pylist() == numbers.to_pylist()
