"""Compressed exports: members and frames by block, the same bytes for any division of the work, and their readers."""

import gzip
import json
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest

from engine.errors import InvalidRequest
from engine.request.request import CsvOptions
from tests.helpers.engine import WORKFLOW, Engine, entry
from tests.helpers.files import decompressed
from tests.helpers.format_oracle import BOM
from tests.helpers.thread_pool import ThreadPool

ROWS: list[dict[str, Any]] = [
    {"n": n, "text": f'{n * 7919 % 101}é, "x"' if n % 7 else None, "list": [n, None]} for n in range(9_000)
]
TEXTS = ("csv", "json", "jsonl")
COMPRESSED = ("gzip", "zstd")


@pytest.fixture(scope="module")
def many(small_sizes: None, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A run of which exports are made in this process."""
    engine = Engine(tmp_path_factory.mktemp("many"))
    engine.publish_rows(ROWS)
    return engine


@pytest.fixture(scope="module")
def tasks(small_sizes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The same run, of which exports are made by the tasks of a pool."""
    pool = ThreadPool()
    engine = Engine(tmp_path_factory.mktemp("tasks"), pool=pool)
    engine.publish_rows(ROWS)
    yield engine
    pool.threads.shutdown()


ASKED: dict[str, dict[str, Any]] = {
    "all": {},
    "rows of the last range": {"filters": [entry("n", "GREATER_THAN", 8_500)]},
    "no rows": {"filters": [entry("n", "LESS_THAN", 0)]},
    "sorted": {"sort_by": "text"},
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("method", COMPRESSED)
@pytest.mark.parametrize("format_name", TEXTS)
def test_the_text_is_that_of_the_plain_file_and_the_bytes_are_always_the_same(
    many: Engine, tmp_path: Path, format_name: str, method: str, asked: str
) -> None:
    plain = many.export_bytes(format_name, **ASKED[asked])
    contents = set()
    for threads, range_bytes in ((1, 2**30), (2, 1), (4, 60_000)):
        fresh = Engine(tmp_path / f"{threads}")
        exporter = many.exporter(threads=threads, range_bytes=range_bytes, exports=fresh.store)
        export = many.export(format_name, exporter, compression=method, **ASKED[asked])
        contents.add(fresh.content(export))
    (content,) = contents
    assert decompressed(content, method) == plain
    assert export.size == len(content)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("format_name", TEXTS)
def test_both_runners_write_the_same_bytes(many: Engine, tasks: Engine, format_name: str, asked: str) -> None:
    assert tasks.pool is not None
    before = tasks.pool.submitted
    for method in COMPRESSED:
        found = tasks.export_bytes(format_name, compression=method, **ASKED[asked])
        assert found == many.export_bytes(format_name, compression=method, **ASKED[asked])
    if asked in ("all", "sorted"):
        # Blocks end where ranges do, and a sort on a cluster has others.
        assert (tasks.pool.submitted > before) == (asked == "all")


def test_every_block_is_a_member_of_its_own(many: Engine) -> None:
    content = many.export_bytes("jsonl", compression="gzip")
    members, rest = 0, content
    while rest:
        inflater = zlib.decompressobj(31)
        inflater.decompress(rest)
        assert inflater.eof
        rest, members = inflater.unused_data, members + 1
    assert members >= len(decompressed(content, "gzip")) // 20_000
    assert len(content) < len(decompressed(content, "gzip")) / 2


@pytest.mark.parametrize("method", COMPRESSED)
@pytest.mark.parametrize("format_name", TEXTS)
def test_readers_open_it(many: Engine, tmp_path: Path, format_name: str, method: str) -> None:
    content = many.export_bytes(format_name, compression=method)
    path = tmp_path / f"file.{format_name}.{'gz' if method == 'gzip' else 'zst'}"
    path.write_bytes(content)
    numbers = [row["n"] for row in ROWS]
    reader = "read_csv" if format_name == "csv" else "read_json"
    assert [n for (n,) in duckdb.sql(f"SELECT n FROM {reader}('{path}')").fetchall()] == numbers
    polars: Any = {"csv": pl.read_csv, "json": pl.read_json, "jsonl": pl.read_ndjson}[format_name]
    assert polars(path)["n"].to_list() == numbers
    if method == "zstd":
        # pandas and the standard library need another package for it before Python 3.14.
        return
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        text = file.read()
    assert text.encode() == decompressed(content, method)
    frame = pd.read_csv(path) if format_name == "csv" else pd.read_json(path, lines=format_name == "jsonl")
    assert frame["n"].tolist() == numbers
    subprocess.run(["gzip", "-t", str(path)], check=True)


def test_json_lines_are_the_rows_of_the_array(many: Engine) -> None:
    lines = many.export_bytes("jsonl").split(b"\n")
    assert lines.pop() == b""
    array = many.export_bytes("json").decode()
    assert array == "[\n\t" + ",\n\t".join(line.decode() for line in lines) + "\n]"
    assert [json.loads(line) for line in lines] == ROWS


@pytest.mark.parametrize("method", COMPRESSED)
def test_a_byte_order_mark_is_the_beginning_of_the_text(many: Engine, method: str) -> None:
    options = CsvOptions(bom=True, delimiter="semicolon")
    content = many.export_bytes("csv", compression=method, csv_options=options)
    assert decompressed(content, method) == many.export_bytes("csv", csv_options=options)
    assert decompressed(content, method).startswith(BOM)


def test_a_finished_export_knows_its_compression_and_name(many: Engine) -> None:
    for method, extension in (("none", "csv"), ("gzip", "csv.gz"), ("zstd", "csv.zst")):
        for asked, name in ((ASKED["all"], f"{WORKFLOW}-r"), (ASKED["no rows"], f"{WORKFLOW}-r-filtered")):
            export = many.export("csv", compression=method, **asked)
            assert export.file_name == f"{name}.{extension}"
            file = many.exporter().find(WORKFLOW, export.export_id)
            assert (file.file_name, file.compression.name) == (export.file_name, method)


def test_parquet_is_compressed_already(many: Engine) -> None:
    with pytest.raises(
        InvalidRequest, match=r"compression=gzip is for csv, json, jsonl: parquet is compressed already"
    ):
        many.plan(many.exporter(), "parquet", compression="gzip")
