"""Data frame libraries and engines open a signed URL as they open any other."""

import csv
import io
import json
import urllib.request
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tests.clients.conftest import ROWS, Exports, row
from tests.helpers.files import decompressed

WANTED = [row(n) for n in range(ROWS)]


def test_pythons_own_readers(exports: Exports) -> None:
    with urllib.request.urlopen(exports.url("csv")) as answer:
        records = list(csv.DictReader(io.TextIOWrapper(answer, "utf-8", newline="")))
    assert [(int(r["n"]), int(r["big"]), Decimal(r["price"]), r["text"] or None) for r in records] == [
        (r["n"], r["big"], r["price"], r["text"] or None) for r in WANTED
    ]
    with urllib.request.urlopen(exports.url("json")) as answer:
        rows = json.load(answer, parse_float=Decimal)
    assert [(r["n"], r["big"], r["price"], r["text"], r["tags"], r["inner"]) for r in rows] == [
        (r["n"], r["big"], r["price"], r["text"], r["tags"], r["inner"]) for r in WANTED
    ]
    with urllib.request.urlopen(exports.url("parquet")) as answer:
        assert pq.read_table(pa.BufferReader(answer.read())).to_pylist() == WANTED


def test_pandas(exports: Exports) -> None:
    types = {"big": "int64", "price": "string", "text": "string"}
    frame = pd.read_csv(
        exports.url("csv"), dtype=types, parse_dates=["moment"], keep_default_na=False, na_values={"text": [""]}
    )
    assert frame["big"].tolist() == [r["big"] for r in WANTED]
    assert [Decimal(text) for text in frame["price"]] == [r["price"] for r in WANTED]
    assert [moment.to_pydatetime() for moment in frame["moment"]] == [r["moment"] for r in WANTED]
    assert [None if pd.isna(text) else text for text in frame["text"]] == [r["text"] or None for r in WANTED]
    by_json = pd.read_json(exports.url("json"), dtype={"big": "int64"})
    assert by_json["big"].tolist() == [r["big"] for r in WANTED]
    assert by_json["tags"].tolist() == [r["tags"] for r in WANTED]
    by_parquet = pd.read_parquet(exports.url("parquet"))
    assert by_parquet["price"].tolist() == [r["price"] for r in WANTED]


def test_polars(exports: Exports) -> None:
    by_csv = pl.read_csv(exports.url("csv"), schema_overrides={"price": pl.Decimal(12, 2)})
    assert by_csv["big"].to_list() == [r["big"] for r in WANTED]
    assert by_csv["price"].to_list() == [r["price"] for r in WANTED]
    lazy = (
        pl.scan_parquet(exports.url("parquet")).filter(pl.col("n") > ROWS - 10).select("n", "text", "moment", "inner")
    )
    assert lazy.collect().to_dicts() == [
        {name: r[name] for name in ("n", "text", "moment", "inner")} for r in WANTED[ROWS - 9 :]
    ]


def test_duckdb_reads_every_format(exports: Exports, httpfs: duckdb.DuckDBPyConnection) -> None:
    readers = {"csv": "read_csv", "json": "read_json", "jsonl": "read_json", "parquet": "read_parquet"}
    asked: list[dict[str, str]] = [{"format_name": name} for name in readers]
    asked += [{"format_name": name, "compression": how} for name in list(readers)[:3] for how in ("gzip", "zstd")]
    for parameters in asked:
        query = f"SELECT n, big, text FROM {readers[parameters['format_name']]}($url) ORDER BY n"
        found: list[Any] = httpfs.execute(query, {"url": exports.url(**parameters)}).fetchall()
        assert [(n, big) for n, big, _ in found] == [(r["n"], r["big"]) for r in WANTED]
        assert [text or None for _, _, text in found] == [r["text"] or None for r in WANTED]


def test_the_end_of_the_path_names_the_format(exports: Exports, httpfs: duckdb.DuckDBPyConnection) -> None:
    """DuckDB's FROM '<url>' chooses the reader by the file name before the query."""
    for format_name in ("csv", "json", "jsonl", "parquet"):
        found = httpfs.execute(f"SELECT n FROM '{exports.url(format_name)}' ORDER BY n").fetchall()
        assert found == [(r["n"],) for r in WANTED], format_name


def test_a_file_without_rows_is_opened_too(exports: Exports) -> None:
    """As JSON Lines it has no bytes, which stores and ranges must bear."""
    nothing = [{"field": "n", "operator": "LESS_THAN", "value": 0}]
    for compression in ("none", "gzip", "zstd"):
        answer = exports.ask("jsonl", filters=nothing, compression=compression)
        file = exports.server.request(answer["url"])
        assert (file.status, len(file.body), answer["rowCount"]) == (200, answer["sizeBytes"], 0)
        assert decompressed(file.body, compression) == b""
        assert exports.server.request(answer["url"], "HEAD").headers["content-length"] == str(answer["sizeBytes"])
    empty = exports.ask("jsonl", filters=nothing)["url"]
    assert exports.server.request(empty, headers={"range": "bytes=0-0"}).status == 416
    assert exports.ask("jsonl", filters=nothing)["url"].split("?")[0] == empty.split("?")[0]


def test_compressed_files_are_opened_by_their_url(exports: Exports) -> None:
    for format_name in ("csv", "jsonl"):
        url = exports.url(format_name, compression="gzip")
        by_pandas = pd.read_csv if format_name == "csv" else partial(pd.read_json, lines=True)
        assert by_pandas(url, compression="gzip")["n"].tolist() == [r["n"] for r in WANTED]
        for compression in ("gzip", "zstd"):
            url = exports.url(format_name, compression=compression)
            if format_name == "csv":
                assert pl.read_csv(url)["n"].to_list() == [r["n"] for r in WANTED]
            with urllib.request.urlopen(url) as answer:
                content = answer.read()
            by_polars: Any = pl.read_csv if format_name == "csv" else pl.read_ndjson
            assert by_polars(content)["n"].to_list() == [r["n"] for r in WANTED]


def test_duckdb_reads_only_what_it_needs(exports: Exports, httpfs: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    count = 1_500_000
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"n": range(count), "text": [f"row {n * 7919 % count}" for n in range(count)]}), path)
    exports.server.publish("--workflow", "many", "--run", "r1", str(path))
    answer = exports.server.export("many", format="parquet").json()
    found = httpfs.execute("SELECT text FROM read_parquet($url) WHERE n = 1000000", {"url": answer["url"]}).fetchall()
    assert found == [(f"row {1_000_000 * 7919 % count}",)]
    assert 0 < exports.sent_to(answer["url"]) < answer["sizeBytes"] / 10
