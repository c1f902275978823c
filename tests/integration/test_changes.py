"""Exports of what changed between two runs: their columns, their order, and the hashes that runs are compared by."""

import csv
import hashlib
import io
import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.catalog.run_pairs import newest_pairs
from engine.common.cancellation import CancelToken
from engine.errors import InvalidInput, InvalidRequest
from engine.publishing import publisher
from engine.query.inspect.session import open_inspection
from engine.query.preview import MAX_DIFFERENCES, read_differences, read_page
from engine.request.formats import FORMATS
from tests.helpers.engine import Engine, entry


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An empty store."""
    return Engine(tmp_path)


def publish(engine: Engine, *tables: pa.Table) -> None:
    """Publish runs r0, r1, ..., with the row ids of the column ``id``."""
    for number, table in enumerate(tables):
        engine.publish(engine.write_parquet(table, f"{number}.parquet"), run=f"r{number}", row_id="id")


def changed(engine: Engine, **options: Any) -> list[dict[str, Any]]:
    """The rows that changed, as a Parquet export has them."""
    content = engine.content(engine.export("parquet", since_run="r0", **options))
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
    return rows


def column(values: list[Any], type_: pa.DataType) -> pa.Table:
    return pa.table({"id": [str(n) for n in range(len(values))], "x": pa.array(values, type_)})


STRUCT, WIDER = pa.struct({"m": pa.int64()}), pa.struct({"m": pa.int64(), "n": pa.string()})
TYPES: dict[str, tuple[pa.DataType, list[Any], pa.DataType, list[Any], list[Any], str]] = {
    # Of the older run and the newer: type and values; then the changed values in the file, and their type.
    "an integer that is a double": (pa.int64(), [1, 2], pa.float64(), [1.0, 2.5], [2.5], "DOUBLE"),
    "an integer that no double holds": (
        pa.int64(), [2**53 + 1, 1], pa.float64(), [2.0**53, 1.0], ["9007199254740992.0", "1.0"], "VARCHAR",
    ),
    "a wider integer": (pa.int32(), [1, 2], pa.int64(), [1, 2**40], [2**40], "BIGINT"),
    "another decimal": (pa.decimal128(5, 2), [1, 2], pa.int64(), [1, 3], [3], "DECIMAL(21,2)"),
    "an object with a new member": (
        STRUCT, [{"m": 1}, {"m": 2}, None], WIDER, [{"m": 1, "n": None}, {"m": 2, "n": "a"}, None],
        [{"m": 2, "n": "a"}], 'STRUCT("m" BIGINT, "n" VARCHAR)',
    ),
    "a list of wider numbers": (pa.list_(pa.int32()), [[1], [2]], pa.list_(pa.int64()), [[1], [3]], [[3]], "BIGINT[]"),
    "text that was a number": (pa.int64(), [1, 2], pa.string(), ["1", "02"], ["02"], "VARCHAR"),
    "an object that was text": (pa.string(), ["a", None], STRUCT, [{"m": 1}, None], ['{"m":1}'], "JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_a_column_of_another_type_changes_the_rows_whose_value_changes(engine: Engine, name: str) -> None:
    old_type, old, new_type, new, values, type_ = TYPES[name]
    publish(engine, column(old, old_type), column(new, new_type))
    assert [row["x"] for row in changed(engine)] == values
    assert engine.export("parquet", since_run="r0").fields[-1].type.sql() == type_
    run = engine.results.run("w", "r1")
    assert run is not None
    assert run.changes is not None
    assert run.changes.changed == len(values)


def test_added_and_dropped_columns_are_in_the_file(engine: Engine) -> None:
    publish(
        engine,
        pa.table({"id": ["a", "b", "c"], "gone": [1, None, None], "Same": ["x", "y", "z"]}),
        pa.table({"same": ["x", "y", "q"], "id": ["a", "b", "d"], "new": [None, None, 2.5]}),
    )
    assert changed(engine) == [
        {"_change": "changed", "_row_id": "a", "same": "x", "id": "a", "new": None, "gone": None},
        {"_change": "added", "_row_id": "d", "same": "q", "id": "d", "new": 2.5, "gone": None},
        {"_change": "removed", "_row_id": "c", "same": "z", "id": "c", "new": None, "gone": None},
    ]
    assert changed(engine, fields=("gone", "id"), filters=[entry("_change", "IN", ["removed", "changed"])]) == [
        {"_change": "changed", "_row_id": "a", "gone": None, "id": "a"},
        {"_change": "removed", "_row_id": "c", "gone": None, "id": "c"},
    ]


def test_a_filter_selects_the_rows_in_which_a_column_changed(engine: Engine) -> None:
    publish(
        engine,
        pa.table(
            {
                "id": ["a", "b", "c", "d"],
                "x": [1, 2, 3, 4],
                "it's": [None, 1.0, 1.0, 1.0],
                "gone": [[1], [2], None, None],
            }
        ),
        pa.table({"id": ["e", "d", "c", "b"], "x": [1, 4, 5, 5], "it's": [1.0, 1.0, 1.0, 2.0]}),
    )

    def ids(operator: str, value: object = None, **options: Any) -> list[str]:
        found = changed(engine, filters=[entry("_changed", operator, value)], **options)
        return [row["_row_id"] for row in found]

    assert ids("EQUALS", "x") == ["c", "b"]
    assert ids("EQUALS", "it's") == ids("EQUALS", "gone") == ["b"]
    assert ids("IN", ["gone", "x"], sort_by="id") == ["b", "c"]
    assert ids("EQUALS", "id") == ids("EQUALS", "X") == []
    assert ids("NOT_EQUALS", "it's") == ["e", "c", "a"]
    assert ids("IS_NULL") == ["e", "a"]
    assert "_changed" not in changed(engine, filters=[entry("_changed", "EQUALS", "x")])[0]
    with pytest.raises(InvalidRequest, match="filters may use it with sinceRunId"):
        engine.export("csv", filters=[entry("_changed", "EQUALS", "x")])
    with pytest.raises(InvalidRequest, match="there is no field '_changed'"):
        engine.export("csv", since_run="r0", fields=("_changed",))


def test_the_columns_that_changed_are_counted_at_publishing(engine: Engine) -> None:
    # Arrow writes no intervals. DuckDB compares a month and 30 days as equal.
    runs = {
        "r0": "(VALUES (1, '30 days', 'x', 1), (2, '30 days', 'y', NULL), (3, NULL, 'z', 3)) r(id, t, same, gone)",
        "r1": "(VALUES (1, '1 month', 'x', NULL), (2, '30 days', 'y', [1]), (3, NULL, 'z', NULL)) r(id, t, SAME, came)",
    }
    for name, rows in runs.items():
        path = engine.folder / f"{name}.parquet"
        duckdb.execute(f"COPY (SELECT * REPLACE (CAST(t AS INTERVAL) AS t) FROM {rows}) TO '{path}'")
        engine.publish(path, run=name, row_id="id")
    run = engine.results.run("w", "r1")
    assert run is not None
    assert run.changes is not None
    assert run.changes.columns == {"t": 1, "came": 1, "gone": 2}


def differences(
    engine: Engine, since: str, run: str
) -> list[tuple[str, str, list[tuple[str, str | None, str | None]]]]:
    plan = engine.plan(engine.exporter(), "csv", run=run, since_run=since)
    found = read_differences(plan, engine.results, settings=engine.settings(1), cancel=CancelToken())
    return [(row.row_id, row.change, [(cell.column, cell.value, cell.previous) for cell in row.cells]) for row in found]


def test_differences_name_the_cells_that_differ(engine: Engine) -> None:
    publish(
        engine,
        pa.table({"id": ["a", "b", "c"], "x": [1, None, 3], "Gone'": ["", None, "é"]}),
        pa.table({"id": ["d", "b", "a"], "new": [{"m": [1]}, None, None], "x": [None, 2.5, 1.0]}),
        pa.table({"id": pa.array([], pa.string())}),
    )
    assert differences(engine, "r0", "r1") == [
        ("d", "added", [("id", "d", None), ("new", '{"m":[1]}', None)]),
        ("b", "changed", [("x", "2.5", None)]),
        ("a", "changed", [("Gone'", None, "")]),
        ("c", "removed", [("id", None, "c"), ("x", None, "3.0"), ("Gone'", None, "é")]),
    ]
    assert [change for _, change, _ in differences(engine, "r1", "r2")] == ["removed"] * 3


def test_differences_are_bounded_by_rows_and_by_characters(engine: Engine) -> None:
    rows = MAX_DIFFERENCES + 20
    publish(engine, column([None] * rows, pa.string()), column(["x" * 50_000] * rows, pa.string()))
    assert [row_id for row_id, _, _ in differences(engine, "r0", "r1")] == [str(number) for number in range(20)]
    short = engine.write_parquet(column(["x"] * rows, pa.string()))
    engine.publish(short, run="r2", row_id="id")
    assert [row_id for row_id, _, _ in differences(engine, "r1", "r2")] == [str(n) for n in range(20)]
    engine.publish(engine.write_parquet(column(["y"] * rows, pa.string())), run="r3", row_id="id")
    assert len(differences(engine, "r2", "r3")) == MAX_DIFFERENCES


def test_runs_without_rows_can_be_compared(engine: Engine) -> None:
    rows, none = column([1, 2], pa.int64()), column([], pa.int64())
    publish(engine, rows, none, rows)
    assert [row["_change"] for row in changed(engine, run="r1")] == ["removed", "removed"]
    assert changed(engine, run="r2") == []
    added = engine.export_rows(run="r2", since_run="r1")
    assert [row["_change"] for row in added] == ["added", "added"]
    assert engine.export_bytes("csv", run="r2", since_run="r0") == b'"_change","_row_id","id",x\n'


def test_rows_come_in_the_order_of_the_run_whatever_the_threads(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "FORMAT parquet, ROW_GROUP_SIZE 2048, ROW_GROUPS_PER_FILE 2, FILENAME_PATTERN '{i}'"
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", options)
    numbers = list(range(30_000))
    old = pa.table({"id": [str(n) for n in numbers], "x": numbers})
    kept = [n for n in numbers if n % 7][::-1]
    new = pa.table({"id": [str(n) for n in kept], "x": [n + (n % 3 == 0) for n in kept]})
    publish(engine, old, new)
    wanted = [str(n) for n in kept if n % 3 == 0] + [str(n) for n in numbers if n % 7 == 0]
    assert [row["_row_id"] for row in engine.export_rows(since_run="r0")] == wanted
    sorted_ = engine.export_rows(engine.exporter(threads=4), since_run="r0", sort_by="x")
    assert [row["x"] for row in sorted_] == sorted(row["x"] for row in sorted_)
    plan = engine.plan(engine.exporter(), "csv", since_run="r0")
    pages = [
        read_page(plan, engine.results, offset=offset, limit=1000, settings=engine.settings(4), cancel=CancelToken())
        for offset in range(0, len(wanted), 1000)
    ]
    rows = itertools.chain.from_iterable(list(csv.reader(io.StringIO(page.rows.decode())))[1:] for page in pages)
    assert [row[1] for row in rows] == wanted
    assert {page.total for page in pages} == {len(wanted)}


def test_the_stored_hash_is_the_md5_of_the_cells_in_our_spelling(engine: Engine) -> None:
    """Pinned: another spelling would make every row of a new run differ from those of older ones."""
    table = pa.table(
        {
            "id": ["k|1", "k2"],
            "b": pa.array([True, None]),
            "amount": pa.array([None, 1.5]),
            "at": pa.array([1_500_000, None], pa.timestamp("us", "UTC")),
            "raw": pa.array([b"", None], pa.binary()),
            "nested": pa.array([{"f": float("nan"), "t": ["|"]}, None]),
            "text": ["", None],
        }
    )
    publish(engine, table)
    spelled = ['|1500000|true|k|1|{"f":"NaN","t":["|"]}|b||3,0,', "1.5|||k2||||2,,"]
    path = engine.store.local_path(engine.results.run("w", "r0").parts[0].key)  # type: ignore[union-attr]  # it was published
    stored = duckdb.execute(f"SELECT _hash_high, _hash_low FROM '{path}'").fetchall()
    assert stored == [_halves(text) for text in spelled]


def test_the_hash_of_a_csv_row_is_that_of_its_values_whether_types_are_found_or_declared(engine: Engine) -> None:
    """Of types that are found, the text of the file is hashed; Arrow casts some columns of both."""
    number = {"dataType": "NUMBER"}
    columns: list[tuple[str, str, str, dict[str, str]]] = [
        ("at", "1970-01-01T00:00:01Z", "1000000", {"dataType": "DATETIME"}),
        ("day", "0900-01-31", "0900-01-31", {"dataType": "DATE"}),
        ("fine", "1970-01-01T00:00:00.5Z", "500000", {"dataType": "DATETIME"}),
        ("id", "k|1", "k|1", {"dataType": "STRING"}),
        ("large", "1e+20", "1e+20", number),
        ("price", "2.50", "2.50", number | {"type": "DECIMAL(18,2)"}),
        ("ratio", "0.1", "0.1", number),
        ("sold", "true", "true", {"dataType": "BOOLEAN"}),
        ("whole", "-12", "-12", number | {"type": "BIGINT"}),
    ]
    names, cells, texts, _ = zip(*columns, strict=True)
    file = engine.write("rows.csv", f"{','.join(names)}\n{','.join(cells)}\n,,,k2,,,,,\n")
    schema = engine.write("schema.json", json.dumps([{"name": name, **field} for name, _, _, field in columns]))
    spelled = [f"{'|'.join(texts)}|3,", "|||k2||||||2,"]
    for run, declared in (("found", None), ("declared", schema)):
        published = engine.publish(file, run=run, row_id="id", schema=declared)
        assert [field.type.sql() for field in published.table.delivered][-2:] == ["BOOLEAN", "BIGINT"]
        path = engine.store.local_path(published.parts[0].key)
        stored = duckdb.execute(f"SELECT _hash_high, _hash_low FROM '{path}'").fetchall()
        assert stored == [_halves(text) for text in spelled], run


def _halves(text: str) -> tuple[int, int]:
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little"), int.from_bytes(digest[:8], "little")


def test_hashes_are_never_visible(engine: Engine) -> None:
    publish(engine, column([1, 2], pa.int64()))
    run = engine.results.run("w", "r0")
    assert run is not None
    assert run.row_hashes
    for options in ({}, {"include_row_ids": True}, {"fields": ("x",)}, {"flatten": True}):
        for format_name in ("parquet", "jsonl", "csv"):
            assert b"_hash" not in engine.export_bytes(format_name, **options)
    with pytest.raises(InvalidRequest, match="no field"):
        engine.export(fields=("_hash_low",))
    chunks: list[Any] = []
    with open_inspection(engine.results, None, engine.settings(1)) as session:
        for statement in ("FROM result('w')", "FROM history('w')", "FROM columns", "FROM profile('w')", "FROM files"):
            session.write(statement, FORMATS["json"], chunks.append)
    assert b"_hash" not in b"".join(chunks)
    assert "_hash" not in str([field.name for field in run.table])
    assert all("_hash_low" not in group.statistics for part in run.parts for group in part.row_groups)


def test_a_run_that_is_only_numbered_has_no_hashes(engine: Engine) -> None:
    run = engine.publish(engine.write_parquet(column([1], pa.int64())), run="r")
    assert not run.row_hashes
    path = engine.store.local_path(run.parts[0].key)
    assert pyarrow.parquet.read_schema(path).names == ["_row_id", "id", "x"]


def test_duplicate_ids_are_refused_with_the_reason(engine: Engine) -> None:
    table = pa.table({"id": ["a", "a"], "x": [1, 2]})
    with pytest.raises(InvalidInput, match="not unique: 'a'"):
        publish(engine, table)


def test_ids_of_other_fields_are_not_compared(engine: Engine) -> None:
    table = pa.table({"id": ["a"], "sku": ["b"]})
    publish(engine, table)
    run = engine.publish(engine.write_parquet(table), run="r1", row_id="sku")
    assert run.changes is None
    with pytest.raises(InvalidRequest, match="are values of id, and those of r1 of sku"):
        changed(engine)


def test_an_unreadable_previous_run_is_a_note(engine: Engine) -> None:
    publish(engine, column([1], pa.int64()))
    before = engine.results.run("w", "r0")
    assert before is not None
    engine.store.delete(before.parts[0].key)
    run = engine.publish(engine.write_parquet(column([2], pa.int64())), run="r1", row_id="id")
    assert run.changes is None
    assert "r0 were not counted" in run.notes[-1]


def test_a_run_that_was_published_late_is_before_no_run_but_the_next(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = {"d1": 1, "d2": 3, "d3": 5, "d4": 7, "late": 2}
    for run, day in days.items():
        engine.publish_rows([{"id": "a"}], run=run, row_id="id", executed_at=datetime(2026, 1, day, tzinfo=UTC))

    def pairs() -> list[tuple[str, str]]:
        (workflow,) = engine.results.workflows()
        return [(pair.run.run_id, pair.since.run_id) for pair in newest_pairs(engine.results, [workflow])]

    assert pairs() == [("d4", "d3"), ("d3", "d2"), ("d2", "late"), ("late", "d1")]
    # Read are the three that were published last; which run is before `d3`, and before `late`, is among the others.
    monkeypatch.setattr("engine.catalog.run_pairs.MAX_RUNS", 2)
    assert pairs() == [("d4", "d3")]
