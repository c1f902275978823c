"""``from engine import publish, export``: what comes back, and what importing it does to a process."""

import datetime as dt
import gzip
import hashlib
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

import engine
from engine import AlreadyPublished, InvalidInput, NotFound, ReadOptions, export, publish
from tests.helpers.sheets import read_sheet

ROOT = Path(__file__).parents[2]
TABLE = pa.table(
    {
        "id": pa.array(["a", "b", "c"]),
        "n": pa.array([1, None, 2**63 - 1], pa.int64()),
        "d": pa.array([0.1, float("inf"), None]),
        "dec": pa.array([Decimal("1.10"), None, Decimal("-99999999999999999.99")], pa.decimal128(20, 2)),
        "day": pa.array([dt.date(2024, 2, 29), None, dt.date(1, 1, 1)]),
        "at": pa.array([dt.datetime(2024, 1, 2, 3, 4, 5, 123456, dt.UTC), None, None], pa.timestamp("us", "UTC")),
        "b": pa.array([True, False, None]),
        "tags": pa.array([["x", None], [], None], pa.list_(pa.string())),
        "o": pa.array([{"x": 1, "y": "é"}, {"x": None, "y": ""}, None]),
    }
)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("TAILRACE_SPILL_DIRECTORY", str(tmp_path / "spill"))
    monkeypatch.chdir(tmp_path)
    return {"results": str(tmp_path / "results"), "exports": str(tmp_path / "exports")}


def read_back(places: dict[str, Any], **named: Any) -> pa.Table:
    made = export("w", Path("back.parquet"), **places, **named)
    content = Path("back.parquet").read_bytes()
    assert (made.bytes, made.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    return pyarrow.parquet.read_table("back.parquet")


FRAMES: dict[str, Any] = {
    "an Arrow table": lambda: TABLE,
    "a record batch": lambda: TABLE.combine_chunks().to_batches()[0],
    "a reader": lambda: TABLE.to_reader(max_chunksize=1),
    "a Polars frame": lambda: pl.from_arrow(TABLE),
    "a pandas frame of Arrow types": lambda: TABLE.to_pandas(types_mapper=pd.ArrowDtype),
}


@pytest.mark.parametrize("name", FRAMES)
def test_values_of_a_table_come_back_equal(places: dict[str, Any], name: str) -> None:
    published = publish(FRAMES[name](), workflow="w", run="r", row_id="id", **places)
    assert (published.rows, published.workflow, published.run, published.team) == (3, "w", "r", "default")
    assert read_back(places).to_pylist() == TABLE.to_pylist()
    assert {column.name: column.type for column in published.columns}["n"] == "NUMBER"
    assert [column.name for column in published.columns] == TABLE.column_names
    assert list(Path("spill").glob("*")) == []


def test_a_pandas_frame_of_its_own_types(places: dict[str, Any]) -> None:
    frame = pd.DataFrame(
        {
            "text": ["x", None, ""],
            "kind": pd.Categorical(["red", "blue", "red"]),
            "n": [1, 2, 3],
            "f": [0.5, None, 1e300],
            "at": pd.to_datetime(["2024-01-02T03:04:05Z", None, "1999-12-31T00:00:00Z"]),
        },
        index=pd.Index(["i", "j", "k"], name="key"),
    )
    publish(frame, workflow="w", run="r", **places)
    back = read_back(places).to_pylist()
    assert [row["key"] for row in back] == ["i", "j", "k"]
    assert [row["text"] for row in back] == ["x", None, ""]
    assert [row["kind"] for row in back] == ["red", "blue", "red"]
    assert [row["n"] for row in back] == [1, 2, 3]
    assert [row["f"] for row in back] == [0.5, None, 1e300]
    assert [row["at"] for row in back] == [
        dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC), None, dt.datetime(1999, 12, 31, tzinfo=dt.UTC)
    ]  # fmt: skip
    # An index without a name is a row number, and no data.
    publish(frame.reset_index(drop=True), workflow="w", run="r2", **places)
    assert read_back(places, run="r2").column_names == ["text", "kind", "n", "f", "at"]


def test_categories_of_polars_are_text_and_a_series_is_a_column(places: dict[str, Any]) -> None:
    kinds = pl.Series("kind", ["red", None, "blue"], dtype=pl.Categorical)
    frame = pl.DataFrame(
        {"kind": kinds, "kinds": [["red"], [], None]}, schema_overrides={"kinds": pl.List(pl.Enum(["red"]))}
    )
    publish(frame, workflow="w", run="r", **places)
    assert read_back(places).to_pylist() == frame.to_dicts()
    for number, series in enumerate((kinds, kinds.to_pandas())):
        publish(series, workflow="w", run=f"r{number}", **places)
        assert read_back(places, run=f"r{number}").to_pylist() == frame.select("kind").to_dicts()


def test_paths_are_published_as_the_command_does(places: dict[str, Any]) -> None:
    for number in (1, 2):
        Path(f"{number}.json").write_text(json.dumps([{"n": number}]))
    one = publish("1.json", workflow="w", run="one", **places, options=ReadOptions())
    two = publish([Path("2.json"), "1.json"], workflow="w", run="two", **places)
    assert (one.rows, two.rows) == (1, 2)
    made = export("w", "rows.json", run="two", sort_by="n", **places)
    assert (json.loads(made.path.read_text()), made.format, made.rows) == ([{"n": 1}, {"n": 2}], "json", 2)
    kept = export("w", "f.csv", filters=[{"field": "n", "operator": "EQUALS", "value": 2}], run="two", **places)
    assert kept.path.read_text() == "n\n2\n"
    with pytest.raises(AlreadyPublished):
        publish("1.json", workflow="w", run="one", **places)
    with pytest.raises(NotFound):
        export("none", "f.csv", **places)
    assert sorted(path.name for path in Path.cwd().iterdir() if path.is_file()) == ["1.json", "2.json", "f.csv", "rows.json"]  # fmt: skip  # noqa: E501


REFUSED: dict[str, Any] = {
    "durations": pa.table({"a": pa.array([1], pa.duration("s"))}),
    "durations in a list": pa.table({"a": pa.array([[1]], pa.list_(pa.duration("s")))}),
    "finer than microseconds": pa.table({"a": pa.array([1], pa.timestamp("ns"))}),
    "a union": pa.table({"a": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])}),
    "dictionaries": [{"a": 1}],
    "nothing at all": [],
    "a number": 7,
    "a lazy frame": pl.LazyFrame({"a": [1]}),
    "mixed objects": pd.DataFrame({"a": [1, "x"]}),
    "a whole number of 70 bits in pandas": pd.DataFrame({"a": [2**70]}),
    "a whole number of 100 bits in Polars": pl.DataFrame({"a": pl.Series([2**100], dtype=pl.Int128)}),
    "a sparse column": pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}),
    "Python objects": pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_come_back_is_refused(places: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidInput):
        publish(REFUSED[name], workflow="w", run="r", **places)
    # New stores may have been initialised, and nothing else.
    assert not list(Path("results").rglob("workflow=*"))


IMPORT = """
import ctypes, logging, os, signal, sys
read = []
class Environment(dict):
    def __getitem__(self, name): read.append(name); return dict.__getitem__(self, name)
    def get(self, name, default=None): read.append(name); return dict.get(self, name, default)
os.environ = Environment(os.environ)
before = (logging.root.handlers[:], logging.root.level, signal.getsignal(signal.SIGINT))
import engine
loaded = {"duckdb", "pyarrow", "pydantic", "click", "starlette"} & sys.modules.keys()
assert not loaded, loaded
from engine import publish, export
assert before == (logging.root.handlers[:], logging.root.level, signal.getsignal(signal.SIGINT))
assert not [name for name in read if name.startswith(("TAILRACE_", "AZURE_"))], read
assert "engine.common.malloc" not in sys.modules
"""


def test_importing_changes_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(engine.__all__) == sorted(engine._MODULES)
    for name in engine.__all__:
        assert getattr(engine, name).__doc__
    with pytest.raises(AttributeError):
        _ = engine.nothing


def test_the_example_of_the_documentation_works(places: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_RESULTS", places["results"])
    monkeypatch.setenv("TAILRACE_EXPORTS", places["exports"])
    assert engine.__doc__ is not None
    example = engine.__doc__.split("::\n")[1].split("\nImporting it")[0]
    exec(compile("\n".join(line[4:] for line in example.splitlines()), "example", "exec"), {})
    assert Path("cheap.csv").read_text() == '"sku",price\nA1,19.99\n'
    exec(compile("\n".join(line[4:] for line in example.splitlines()), "example", "exec"), {})


def test_the_changes_since_an_earlier_run_are_exported(places: dict[str, Any], tmp_path: Path) -> None:
    for run, prices in {"r1": [1, 2], "r2": [1, 3]}.items():
        table = pa.table({"sku": ["a", "b"], "price": prices})
        engine.publish(table, workflow="priced", run=run, row_id="sku", **places)
    engine.export("priced", tmp_path / "changes.csv", since="r1", **places)
    assert (tmp_path / "changes.csv").read_text() == '"_change","_row_id","sku",price\nchanged,b,b,3\n'


def test_columns_and_compression_of_an_exported_file(places: dict[str, Any], tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2], "o": [{"a": 1, "b": "x"}, {"a": 2, "b": None}]})
    engine.publish(table, workflow="columns", run="r", results=places["results"], exports=places["exports"])
    path = tmp_path / "rows.jsonl.gz"
    made = engine.export("columns", path, fields=["o.b", "n"], results=places["results"], exports=places["exports"])
    assert gzip.decompress(path.read_bytes()) == b'{"o.b":"x","n":1}\n{"o.b":null,"n":2}\n'
    assert ([column.name for column in made.columns], made.bytes) == (["o.b", "n"], path.stat().st_size)
    options: dict[str, Any] = {"format": "csv", "compression": "gzip", "flatten": True} | places
    engine.export("columns", tmp_path / "plain", **options)
    assert gzip.decompress((tmp_path / "plain").read_bytes()) == b'n,o.a,"o.b"\n1,1,x\n2,2,\n'
    sheet = engine.export("columns", tmp_path / "rows.xlsx", **places)
    assert sheet.format == "xlsx"
    assert [[cell.text for cell in row] for row in read_sheet(sheet.path.read_bytes())] == [
        ["n", "o"],
        ["1", '{"a":1,"b":"x"}'],
        ["2", '{"a":2,"b":null}'],
    ]
    with pytest.raises(engine.InvalidInput, match="Unknown compression: pass compression=none or gzip or zstd"):
        engine.export("columns", tmp_path / "x.csv", **{**options, "compression": "br"})
