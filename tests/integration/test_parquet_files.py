"""Parquet exports: row groups taken over or made anew, one footer for all, and no reader that minds."""

import io
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.catalog.schema import ROW_ID
from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, SourceDamaged
from engine.plan import planner
from engine.publishing import publisher
from engine.stores import block_stream
from tests.helpers.engine import Engine, entry
from tests.helpers.small_parts import break_footer

ROWS = 20_000
TABLE = pa.table(
    {
        "n": pa.array(range(ROWS)),
        "text": pa.array([None if n % 7 == 0 else f"t{n % 50}" for n in range(ROWS)]),
        "nested": pa.array([{"a": [n, None], "b": {"c": f"{n}"}} if n % 3 else None for n in range(ROWS)]),
        "amount": pa.array([n % 100 for n in range(ROWS)]).cast(pa.decimal128(30, 2)),
    }
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Three parts, of four, four and two row groups."""
    engine = Engine(tmp_path_factory.mktemp("parquet"))
    with pytest.MonkeyPatch.context() as patch:
        options = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048, ROW_GROUPS_PER_FILE 4, FILENAME_PATTERN '{i}'"
        patch.setattr(publisher, "_COPY_OPTIONS", options)
        run = engine.publish(engine.write_parquet(TABLE))
    assert [len(part.row_groups) for part in run.parts] == [4, 4, 2]
    return engine


def table_of(content: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(content))


def test_a_whole_run_is_its_row_groups(engine: Engine) -> None:
    content = engine.export_bytes("parquet")
    assert table_of(content).equals(TABLE)
    metadata = pq.read_metadata(io.BytesIO(content))
    assert (metadata.num_rows, metadata.num_row_groups, metadata.num_columns) == (ROWS, 10, 5)
    groups = [metadata.row_group(index) for index in range(10)]
    first = groups[0].column(0)
    assert (first.statistics.min, first.statistics.max, first.compression) == (0, 2047, "ZSTD")
    assert all(g.total_byte_size == sum(g.column(i).total_uncompressed_size for i in range(5)) for g in groups)


def test_with_row_ids_nothing_is_left_out(engine: Engine) -> None:
    table = table_of(engine.export_bytes("parquet", include_row_ids=True))
    assert table.column_names == [ROW_ID, *TABLE.column_names]
    assert table.column(ROW_ID).to_pylist() == [f"{n:012}" for n in range(ROWS)]
    assert table.drop_columns([ROW_ID]).equals(TABLE)


ASKED: dict[str, dict[str, Any]] = {
    "all": {},
    "some": {"filters": [entry("text", "EQUALS", "t3")]},
    "every range has some": {"filters": [entry("n", "GREATER_THAN", 100)]},
    "the first ranges have none": {"filters": [entry("n", "GREATER_THAN", 15_000)]},
    "none": {"filters": [entry("n", "LESS_THAN", 0)]},
    "sorted": {"sort_by": "text", "descending": True},
    "row ids": {"row_ids": [f"{n:012}" for n in (5, 19_999, 7_000)]},
}


@pytest.mark.parametrize("name", ASKED)
def test_every_reader_reads_the_same(
    engine: Engine, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(planner, "PARQUET_RANGE_BYTES", 1)
    contents = set()
    for threads in (1, 2, 4):
        fresh = Engine(tmp_path / str(threads))
        exporter = engine.exporter(threads=threads, exports=fresh.store)
        contents.add(fresh.content(engine.export("parquet", exporter, **ASKED[name])))
    content = contents.pop()
    assert not contents
    rows = engine.export_rows(**ASKED[name])
    path = tmp_path / "file.parquet"
    path.write_bytes(content)
    with duckdb.connect() as connection:
        by_duckdb = connection.execute(
            "SELECT n, text, nested FROM read_parquet($path)", {"path": str(path)}
        ).fetchall()
    by_polars = pl.read_parquet(path).select("n", "text", "nested").rows()
    assert by_duckdb == by_polars == [(row["n"], row["text"], row["nested"]) for row in rows]
    assert table_of(content).schema.equals(TABLE.schema)


@pytest.mark.parametrize("sort_by", [None, "key"])
def test_files_of_several_row_groups_do_not_depend_on_threads_or_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sort_by: str | None
) -> None:
    rows = 300_000
    engine = Engine(tmp_path / "engine")
    keys = [n * 7919 % 1009 for n in range(rows)]
    engine.publish(engine.write_parquet(pa.table({"n": range(rows), "key": keys})))
    filters = [entry("n", "NOT_EQUALS", 5)]
    contents = set()
    for threads, block_bytes in ((1, 2**23), (2, 50_000), (4, 4_096)):
        monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((50_000, block_bytes),))
        fresh = Engine(tmp_path / str(threads))
        exporter = engine.exporter(threads=threads, exports=fresh.store)
        contents.add(fresh.content(engine.export("parquet", exporter, filters=filters, sort_by=sort_by)))
    (content,) = contents
    found = pq.ParquetFile(pa.BufferReader(content))
    assert found.metadata.num_row_groups >= 3
    wanted = [n for n in range(rows) if n != 5]
    if sort_by:
        wanted.sort(key=lambda n: (keys[n], n))
    assert found.read(["n"]).column("n").to_pylist() == wanted


def test_row_groups_of_no_rows_are_left_out(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "PARQUET_RANGE_BYTES", 1)
    content = engine.export_bytes("parquet", filters=[entry("n", "IN", [1, 9_000])])
    metadata = pq.read_metadata(io.BytesIO(content))
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == [1, 1]


def test_a_part_whose_footer_is_broken_is_told(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    run = engine.publish(engine.write_parquet(TABLE))
    break_footer(engine.folder / "store" / run.parts[0].key)
    with pytest.raises(SourceDamaged):
        engine.export("parquet")
    assert engine.keys("w/") == []


def test_a_cancelled_copy_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    fresh = Engine(tmp_path)
    exporter = engine.exporter(exports=fresh.store)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        exporter.export(engine.plan(exporter, "parquet"), cancel)
    assert fresh.keys() == []
