"""Sorts in buckets: the bytes of any other export, with no statement that sorts more than a part of the rows."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.common.cancellation import CancelToken
from engine.exports.export import export_key
from engine.runners import bucket_sort
from engine.sql.sort_keys import sorted_bucket
from engine.sql.statements import Statement
from tests.helpers.engine import Engine, entry
from tests.helpers.files import read_json

COUNT = 9000
FLOATS = [0.0, -0.0, float("nan"), float("inf"), float("-inf"), None, 1.5]
ROWS: list[dict[str, Any]] = [
    {
        "n": n,
        "text": None if n % 11 == 0 else f"{n * 7919 % 101}é\n'\"%_\\",
        "same": True,
        "number": FLOATS[n % 7] if n % 3 else n / 7,
        "inner": {"b": (n * 31) % 97 if n % 5 else None},
        "list": [n, None] if n % 2 else [],
    }
    for n in range(COUNT)
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Two runs: every row of the newer one, whose rows are `ROWS`, differs from the older, as has one other row."""
    engine = Engine(tmp_path_factory.mktemp("buckets"))
    older = [{**row, "same": False} for row in [*ROWS[1:], {**ROWS[0], "n": COUNT}]]
    for run, rows in (("old", older), ("r", ROWS)):
        engine.publish(engine.write_parquet(pa.Table.from_pylist(rows)), run=run, row_id="n")
    return engine


@pytest.fixture
def sorted_rows(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For each bucket that was sorted, the number of its rows."""
    (part,) = engine.results.resolve("w", "r", "acme").parts
    monkeypatch.setattr(bucket_sort, "_BUCKET_BYTES", part.bytes / 8)
    rows: list[int] = []

    def counting(plan: Any, file: str, target: str, *, first: bool) -> Statement:
        rows.append(pyarrow.parquet.read_metadata(file).num_rows)
        return sorted_bucket(plan, file, target, first=first)

    monkeypatch.setattr(bucket_sort, "sorted_bucket", counting)
    return rows


def in_buckets(engine: Engine, format_name: str, **asked: Any) -> bytes:
    """The file of a request, sorted in buckets, of a store without the usual export."""
    exporter = engine.exporter(threads=2)
    plan = engine.plan(exporter, format_name, **asked)
    made = exporter.export(replace(plan, export_id="0" * len(plan.export_id), bounds_memory=True), CancelToken())
    content = engine.content(made)
    engine.store.delete(export_key(made.workflow_id, made.export_id, made.format))
    return content


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("format_name", ["csv", "json"])
@pytest.mark.parametrize(
    "asked",
    [
        {"sort_by": "text"},
        {"sort_by": "same"},
        {"sort_by": "number"},
        {"sort_by": "inner.b", "fields": ("list", "n")},
        {"sort_by": "text", "include_row_ids": True, "filters": [entry("n", "IN", list(range(0, COUNT, 2)))]},
        {"sort_by": "n", "row_ids": tuple(map(str, range(1, COUNT, 3)))},
        {"sort_by": "text", "since_run": "old"},
        {"sort_by": "n", "since_run": "old", "filters": [entry("_change", "NOT_EQUALS", "added")], "fields": ("list",)},
    ],
)
def test_the_bytes_are_those_of_an_export(
    engine: Engine, sorted_rows: list[int], format_name: str, descending: bool, asked: dict[str, Any]
) -> None:
    wanted = engine.export_bytes(format_name, engine.exporter(threads=2), descending=descending, **asked)
    assert not sorted_rows
    assert in_buckets(engine, format_name, descending=descending, **asked) == wanted
    assert len(sorted_rows) > 4


@pytest.mark.parametrize("sort_by", ["n", "text", "same"])
def test_no_bucket_has_more_than_a_part_of_the_rows(engine: Engine, sorted_rows: list[int], sort_by: str) -> None:
    found = read_json(in_buckets(engine, "json", sort_by=sort_by))
    wanted = sorted((row for row in ROWS if row[sort_by] is not None), key=lambda row: row[sort_by])
    wanted += [row for row in ROWS if row[sort_by] is None]
    assert [row["n"] for row in found] == [row["n"] for row in wanted]
    assert sum(sorted_rows) == COUNT
    # Eight buckets, whose cuts are sampled.
    assert max(sorted_rows) < COUNT / 4


def test_an_export_without_rows(engine: Engine, sorted_rows: list[int]) -> None:
    filters = [entry("text", "EQUALS", "5")]
    assert in_buckets(engine, "json", sort_by="n", filters=filters) == engine.export_bytes(
        "json", sort_by="n", filters=filters
    )
    assert not sorted_rows
