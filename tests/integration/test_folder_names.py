"""Columns with the name of a ``key=value`` folder above their file have the values of the file."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.common.cancellation import CancelToken
from engine.publishing import publisher
from engine.query.preview import read_column, read_page
from engine.stores import ObjectStore
from tests.helpers.engine import Engine, entry
from tests.helpers.spread import SMALL, spread_over
from tests.helpers.statements import rows as answered
from tests.helpers.thread_pool import ThreadPool

ROWS: list[dict[str, Any]] = [
    {"run": n % 7, "workflow": f"mine {n}", "env": n % 2 == 0, "Day": f"d{n:05}"} for n in range(5_000)
]
RUN = "2026-11-22"


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """In a directory store, ``env=prod`` is part of every path."""
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", SMALL)
    folder = tmp_path / "env=prod" / "day=7"
    engine = Engine(folder, None if store.local_path("x") else store)
    engine.publish_rows(ROWS, run=RUN)
    return engine


def read(format_name: str, content: bytes) -> list[dict[str, Any]]:
    """The rows of a file, read without DuckDB."""
    if format_name == "json":
        rows: list[dict[str, Any]] = json.loads(content)
        return rows
    if format_name == "parquet":
        found: list[dict[str, Any]] = pyarrow.parquet.ParquetFile(io.BytesIO(content)).read().to_pylist()
        return found
    return [
        {**row, "run": int(row["run"]), "env": row["env"] == "true"}
        for row in csv.DictReader(io.StringIO(content.decode(), newline=""))
    ]


@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_an_export_has_the_values_of_the_files_not_of_the_folder_names(engine: Engine, format_name: str) -> None:
    ordered = sorted(ROWS, key=lambda row: row["run"])
    some = [row for row in ROWS if row["run"] >= 5]
    for asked, wanted in (
        ({}, ROWS),
        ({"sort_by": "run"}, ordered),
        ({"filters": [entry("run", "GREATER_THAN_OR_EQUAL", 5)]}, some),
        ({"filters": [entry("workflow", "EQUALS", "mine 3")]}, [ROWS[3]]),
        ({"filters": [entry("env", "EQUALS", False), entry("Day", "EQUALS", "d00007")]}, [ROWS[7]]),
        ({"row_ids": ["000000000009"]}, [ROWS[9]]),
    ):
        assert read(format_name, engine.export_bytes(format_name, **asked)) == wanted, asked


def test_pages_profiles_and_statements_have_the_values_of_the_files(engine: Engine) -> None:
    plan = engine.plan(engine.exporter(), "json", run=RUN)
    limits: dict[str, Any] = {"settings": engine.settings(1), "cancel": CancelToken()}
    page = read_page(plan, engine.results, offset=2_000, limit=3, **limits)
    assert json.loads(page.rows) == ROWS[2_000:2_003]
    assert read_column(plan, "workflow", engine.results, **limits).distinct == len(ROWS)
    found = answered(engine, plan.run, "SELECT run, workflow, env, Day FROM data WHERE _row_id = '000000000005'")
    assert found == [ROWS[5]]


@pytest.mark.parametrize("sort_by", [None, "run"])
def test_cluster_tasks_have_the_values_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sort_by: str | None
) -> None:
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", SMALL)
    engine, pool = Engine(tmp_path / "env=prod"), ThreadPool()
    engine.publish_rows(ROWS)
    spread = spread_over(pool, engine, tmp_path / "exports")
    content = spread.check(engine.plan(spread.exporter, "json", sort_by=sort_by))
    pool.threads.shutdown()
    assert json.loads(content) == (sorted(ROWS, key=lambda row: row["run"]) if sort_by else ROWS)


@pytest.mark.parametrize("name", ["rows.csv", "rows.json", "rows.ndjson", "rows.parquet"])
def test_published_files_keep_their_values_below_such_folders(tmp_path: Path, name: str) -> None:
    engine = Engine(tmp_path / "engine")
    rows = [{"day": "mine", "n": "one"}, {"day": "yours", "n": "two"}]
    path = engine.folder / "day=2020-01-01" / "hour=7" / name
    path.parent.mkdir(parents=True)
    match path.suffix:
        case ".csv":
            path.write_text("day,n\nmine,one\nyours,two\n")
        case ".json":
            path.write_text(json.dumps(rows))
        case ".ndjson":
            path.write_text("\n".join(map(json.dumps, rows)))
        case _:
            pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    engine.publish(path)
    assert engine.export_rows() == rows
