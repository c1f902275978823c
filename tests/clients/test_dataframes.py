"""Data frame libraries and engines open a signed URL as they open any other."""

import csv
import io
import json
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tests.clients.conftest import ROWS, Exports, row

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
    for reader, format_name in (("read_csv", "csv"), ("read_json", "json"), ("read_parquet", "parquet")):
        query = f"SELECT n, big, text FROM {reader}($url) ORDER BY n"
        found: list[Any] = httpfs.execute(query, {"url": exports.url(format_name)}).fetchall()
        assert [(n, big) for n, big, _ in found] == [(r["n"], r["big"]) for r in WANTED]
        assert [text or None for _, _, text in found] == [r["text"] or None for r in WANTED]


def test_duckdb_reads_only_what_it_needs(exports: Exports, httpfs: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    count = 1_500_000
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"n": range(count), "text": [f"row {n * 7919 % count}" for n in range(count)]}), path)
    exports.server.publish("--workflow", "many", "--run", "r1", str(path))
    answer = exports.server.export("many", format="parquet").json()
    found = httpfs.execute("SELECT text FROM read_parquet($url) WHERE n = 1000000", {"url": answer["url"]}).fetchall()
    assert found == [(f"row {1_000_000 * 7919 % count}",)]
    assert 0 < exports.sent_to(answer["url"]) < answer["sizeBytes"] / 10
