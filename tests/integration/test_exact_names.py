"""A name is the name of one file, and never a pattern: for what is published, and for every folder on the way."""

import csv
import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.common.cancellation import CancelToken
from engine.common.duckdb_versions import WRITES_BELOW_BACKSLASHES
from engine.common.table_functions import exact_path, literal_path
from engine.errors import InvalidInput, StoreUnavailable
from engine.publishing.publisher import Publisher
from engine.query.inspect.snapshot import Snapshot
from engine.query.inspect.views import path_in, write_views
from engine.query.preview import read_page
from engine.settings import DuckDBSettings
from tests.helpers.engine import Engine

NAMES = [
    ("report[1]", "report1"),
    ("a*b", "aXb"),
    ("q?", "q1"),
    ("[!x]", "y"),
    ("[]]", "]"),
    ("**", "x"),
    ("a[", "a"),
    ("back\\slash", "back"),
    ("{a,b}", "a"),
    ("$HOME", "HOME"),
    ("~", "x"),
    ("quo'te", "quote"),
]
"""A name, and one that it would find as a pattern."""


def write(path: Path, value: str) -> Path:
    match path.suffix:
        case ".csv":
            path.write_text(f"a,b\n{value},x\n")
        case ".json":
            path.write_text(json.dumps([{"a": value, "b": "x"}]))
        case ".ndjson":
            path.write_text(json.dumps({"a": value, "b": "x"}) + "\n")
        case _:
            pyarrow.parquet.write_table(pa.table({"a": [value], "b": ["x"]}), path)
    return path


@pytest.mark.parametrize("kind", [".csv", ".json", ".ndjson", ".parquet"])
def test_the_named_file_is_published(tmp_path: Path, kind: str) -> None:
    engine = Engine(tmp_path / "engine")
    for number, (name, decoy) in enumerate(NAMES):
        for place in (tmp_path / f"{number}", tmp_path / f"{number}" / name, tmp_path / f"{number}" / decoy):
            place.mkdir(exist_ok=True)
        write(tmp_path / f"{number}" / f"{decoy}{kind}", "wrong")
        write(tmp_path / f"{number}" / decoy / f"f{kind}", "wrong")
        named = write(tmp_path / f"{number}" / f"{name}{kind}", "right")
        within = write(tmp_path / f"{number}" / name / f"f{kind}", "right")
        engine.publish(named, within, run=f"r{number}")
        assert engine.export_rows(run=f"r{number}") == [{"a": "right", "b": "x"}] * 2, name


def test_a_name_that_duckdb_cannot_be_given_is_refused(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine")
    with pytest.raises(InvalidInput, match="rename"):
        engine.publish(write(tmp_path / "a\\[1].parquet", "right"))
    # Others are not opened by DuckDB.
    engine.publish(write(tmp_path / "a\\[1].csv", "right"))
    assert engine.export_rows() == [{"a": "right", "b": "x"}]


@pytest.mark.parametrize(("name", "decoy"), NAMES)
def test_the_results_and_the_spill_folder_may_be_anywhere(tmp_path: Path, name: str, decoy: str) -> None:
    if name == "back\\slash":
        name = "back\\"
    rows: list[dict[str, Any]] = [{"id": f"i{n}", "n": n} for n in range(1_000)]
    wrong: list[dict[str, Any]] = [{"id": f"i{n}", "n": -n} for n in range(1_000)]
    other, engine = Engine(tmp_path / decoy), Engine(tmp_path / name)
    other.publish_rows(wrong, row_id="id")
    if "\\" in name and not WRITES_BELOW_BACKSLASHES:
        with pytest.raises(StoreUnavailable, match="TAILRACE_SPILL_DIRECTORY"):
            engine.publish_rows(rows, row_id="id")
        engine.publisher = Publisher(engine.results, DuckDBSettings(spill_directory=tmp_path / "elsewhere"))
    engine.publish_rows(rows, row_id="id")
    exporter = engine.exporter(threads=2, range_bytes=1)
    assert engine.export_rows(exporter) == rows
    assert engine.export_rows(sort_by="n", descending=True) == rows[::-1]
    assert engine.export_rows(row_ids=["i7"]) == [rows[7]]
    read = list(csv.DictReader(io.StringIO(engine.export_bytes("csv").decode())))
    assert read == [{"id": row["id"], "n": str(row["n"])} for row in rows]
    page = read_page(
        engine.plan(exporter), engine.results, offset=5, limit=2, settings=engine.settings(1), cancel=CancelToken()
    )
    assert json.loads(page.rows) == rows[5:7]
    views = tmp_path / "views.duckdb"
    with closing(Snapshot(engine.results, None)) as snapshot:
        write_views(views, snapshot, path_in(engine.store, str(engine.folder / "store")))
    with duckdb.connect(str(views), read_only=True) as connection:
        assert connection.execute("SELECT sum(n) FROM result('w')").fetchall() == [(sum(range(1_000)),)]


def test_an_exact_path_leads_back_to_its_file(tmp_path: Path) -> None:
    for name in ["plain", "[*]", "a[b]c[?]", "[[]", "]["]:
        assert literal_path(exact_path(tmp_path / name)) == str(tmp_path / name)
