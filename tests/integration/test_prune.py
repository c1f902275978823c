"""Row groups that cannot match are not read, and no matching row is lost."""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.exports.export import export_key
from engine.plan.planner import ExportPlan
from engine.plan.row_ids import row_numbers_by_part
from engine.request.operators import OPERATORS
from engine.sql.statements import compile_copy
from tests.helpers.engine import NOW, Engine, entry
from tests.helpers.operator_oracle import matches
from tests.helpers.small_parts import groups_read, publish_small_parts

ROWS = 20_480
GROUPS = 10
_FIRST = datetime(2026, 6, 1, tzinfo=UTC)


def _link(n: int) -> str:
    """Longer than the text of a minimum or maximum in the manifest."""
    return f"https://shop.example/{n:06}/{'x' * 60}?{n}"


def _clustered(n: int) -> dict[str, Any]:
    return {
        "n": n,
        "number": n - 10_000,
        "double": (n - 10_000) / 4,
        "decimal": Decimal(n) / 100,
        "text": f"k{n:06}",
        "link": _link(n),
        "moment": _FIRST + timedelta(minutes=n),
        "day": date(2026, 1, 1) + timedelta(days=n // 1000),
        "flag": n >= ROWS // 2,
        "some": None if n < ROWS // 2 else n,
        "inner": {"n": n},
        "a.b": n,
        "a": {"b": -n},
    }


def _hash(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Three parts with four, four and two row groups, sorted by every column."""
    engine = Engine(tmp_path_factory.mktemp("prune"))
    publish_small_parts(engine, [_clustered(n) for n in range(ROWS)])
    return engine


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Two parts whose row ids come from a field and are unsorted."""
    engine = Engine(tmp_path_factory.mktemp("named"))
    publish_small_parts(engine, [{"n": n, "key": _hash(n)} for n in range(3 * 4096)], row_id="key")
    return engine


def _plan(engine: Engine, ids: list[str]) -> ExportPlan:
    return engine.plan(engine.exporter(range_bytes=1), "json", row_ids=ids)


def _read(engine: Engine, **asked: Any) -> int:
    """The number of row groups that a request reads."""
    return groups_read(engine.plan(engine.exporter(), "csv", **asked))


READ: list[tuple[str, str, Any, int]] = [
    ("number", "EQUALS", 5, 1),
    ("number", "EQUALS", 10**12, 0),
    ("number", "IN", [-10_000, 10_479], 2),
    ("number", "GREATER_THAN", 10_000, 1),
    ("number", "LESS_THAN_OR_EQUAL", -9_999.5, 1),
    ("double", "GREATER_THAN", 2_500, 1),
    ("decimal", "LESS_THAN", "20.47", 1),
    ("text", "EQUALS", "k000000", 1),
    ("text", "IN", ["k000000", "k003000", "nothing"], 2),
    ("link", "EQUALS", _link(5_000), 1),
    ("link", "IN", [_link(0), _link(ROWS - 1), _link(ROWS)], 2),
    ("moment", "AFTER", "2026-06-15T00:00Z", 1),
    ("moment", "WITHIN_LAST_DAYS", 1, 1),
    ("day", "BEFORE", "2026-01-02T12:00Z", 1),
    ("flag", "EQUALS", True, 5),
    ("some", "IS_NULL", None, 5),
    ("some", "IS_NOT_NULL", None, 5),
    ("some", "EQUALS", 15_000, 1),
    ("inner.n", "EQUALS", 7, 1),
    # Statistics cannot decide these, so every row group is read.
    ("a.b", "EQUALS", 7, GROUPS),
    ("number", "NOT_EQUALS", 5, GROUPS),
    ("text", "CONTAINS", "k000000", GROUPS),
    ("text", "GREATER_THAN", "5", GROUPS),
]


@pytest.mark.parametrize(("field", "operator", "value", "groups"), READ)
def test_only_row_groups_that_may_match_are_read(
    engine: Engine, field: str, operator: str, value: Any, groups: int
) -> None:
    filters = [entry(field, operator, value)]
    assert _read(engine, filters=filters) == groups
    assert OPERATORS[operator]
    wanted = []
    for n in range(ROWS):
        row = _clustered(n)
        cell = row[field] if field in row else row["inner"]["n"]
        if matches(operator, cell, value, NOW):
            wanted.append(n)
    for exporter in (engine.exporter(), engine.exporter(range_bytes=1, threads=2)):
        assert [row["n"] for row in engine.export_rows(exporter, filters=filters)] == wanted


def test_generated_row_ids_are_read_by_row_number(engine: Engine) -> None:
    ids = [f"{n:012}" for n in (20_479, 3, 3, 5)]
    assert _read(engine, row_ids=ids) == 2
    assert [row["n"] for row in engine.export_rows(row_ids=ids)] == [3, 5, 20_479]
    for unknown in ("nothing", "3", "0000000000003", "-00000000003", "00000000000٣", f"{ROWS:012}", "9" * 12):
        assert _read(engine, row_ids=[unknown]) == 0
        assert engine.export_rows(row_ids=[unknown]) == []
        assert [row["n"] for row in engine.export_rows(row_ids=[unknown, ids[1]])] == [3]


PICKED: dict[str, list[int]] = {
    "in a row, over the end of a part": list(range(8_000, 8_400)),
    "one of each row group": list(range(5, ROWS, 2048)),
    "many of few row groups that are apart": [*range(0, 200, 2), *range(6_200, 6_400, 3), *range(12_300, 12_303)],
    "the first and the last": [0, ROWS - 1],
    "all": list(range(ROWS)),
}


@pytest.mark.parametrize("numbers", PICKED.values(), ids=PICKED)
@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_rows_by_id_come_in_run_order(engine: Engine, numbers: list[int], format_name: str, tmp_path: Path) -> None:
    ids = [f"{n:012}" for n in reversed(numbers)]
    assert _read(engine, row_ids=ids) == len({n // 2048 for n in numbers})
    path = tmp_path / "picked"
    path.write_bytes(engine.export_bytes(format_name, row_ids=ids))
    match format_name:
        case "csv":
            found = [int(line.partition(",")[0]) for line in path.read_text().splitlines()[1:]]
        case "json":
            found = [row["n"] for row in json.loads(path.read_bytes())]
        case _:
            found = pa.parquet.read_table(path)["n"].to_pylist()
    assert found == numbers


def test_row_ids_and_filters_intersect(engine: Engine) -> None:
    ids = [f"{n:012}" for n in (10, 4_000, 9_999, 20_000)]
    filters = [entry("n", "GREATER_THAN", 10), entry("text", "NOT_EQUALS", "k009999")]
    assert [row["n"] for row in engine.export_rows(row_ids=ids, filters=filters)] == [4_000, 20_000]
    found = engine.export_rows(row_ids=ids, filters=filters, sort_by="n", descending=True)
    assert [row["n"] for row in found] == [20_000, 4_000]


def test_ids_of_a_field_are_found_by_row_number_first(named: Engine) -> None:
    ids = [_hash(n) for n in (17, 2_047, 2_048, 5_000, 5_001)]
    assert [row["n"] for row in named.export_rows(row_ids=[*ids, _hash(ROWS), "000000000003"])] == [
        17,
        2_047,
        2_048,
        5_000,
        5_001,
    ]
    sql = [compile_copy(plan, range_, ["part"], "target").sql for plan in [_plan(named, ids)] for range_ in plan.ranges]
    assert all("file_row_number IN (SELECT file_row_number" in text for text in sql)


def test_generated_ids_are_searched_for_if_statistics_contradict_them(engine: Engine) -> None:
    """The statistics of the manifest decide."""
    run = engine.plan(engine.exporter(), "csv").run
    first, second = run.parts[0].row_groups[:2]
    other = {**first.statistics, "_row_id": second.statistics["_row_id"]}
    group = first.model_copy(update={"statistics": other})
    part = run.parts[0].model_copy(update={"row_groups": (group, *run.parts[0].row_groups[1:])})
    changed = run.model_copy(update={"parts": (part, *run.parts[1:])})
    assert row_numbers_by_part(run, ["000000000003"]) == ((3,), (), ())
    assert row_numbers_by_part(changed, ["000000000003"]) is None
    assert row_numbers_by_part(changed.model_copy(update={"row_id_field": "n"}), []) is None


def test_a_row_group_must_match_all_filters(engine: Engine) -> None:
    filters = [entry("number", "GREATER_THAN", 0), entry("number", "LESS_THAN", 10)]
    assert _read(engine, filters=filters) == 1
    assert _read(engine, filters=filters, sort_by="text") == 1
    found = engine.export_rows(filters=filters, sort_by="text", descending=True)
    assert [row["number"] for row in found] == list(range(9, 0, -1))


APART = [0, 5, 4_100, 6_143, 8_191, 8_192, 16_383, ROWS - 1]
"""Rows in six row groups of all three parts, some adjacent and some not."""


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_a_sort_reads_only_row_groups_that_may_match(
    engine: Engine, descending: bool, format_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorts by a field with two values, so that rows of different sub-ranges are ties."""
    filters = [entry("n", "IN", APART)]
    asked: dict[str, Any] = {"filters": filters, "sort_by": "flag", "descending": descending}
    assert _read(engine, **asked) == 6
    content = engine.export_bytes(format_name, engine.exporter(threads=2), **asked)
    path = tmp_path / "sorted"
    path.write_bytes(content)
    match format_name:
        case "csv":
            found = [int(line.partition(",")[0]) for line in path.read_text().splitlines()[1:]]
        case "json":
            found = [row["n"] for row in json.loads(content)]
        case _:
            found = pa.parquet.read_table(path)["n"].to_pylist()
    assert found == sorted(APART, key=lambda n: (n >= ROWS // 2) is not descending)
    # The same bytes when entire parts are read.
    monkeypatch.setattr("engine.plan.planner.MAX_SUBRANGES", 2)
    other = Engine(tmp_path / "whole", engine.store)
    assert _read(other, **asked) == GROUPS
    plan = other.plan(other.exporter(), format_name, **asked)
    other.store.delete(export_key(plan.run.workflow_id, plan.export_id, plan.request.format))
    assert other.export_bytes(format_name, **asked) == content


@pytest.mark.parametrize("descending", [False, True])
def test_ties_of_several_subranges_are_in_run_order(tmp_path: Path, descending: bool) -> None:
    """The first sub-range is two entire parts, the second the end of the third part."""
    engine = Engine(tmp_path)
    skipped = range(16_384, 18_432)
    rows = [{"n": n, "one": 7 if n in skipped else 1, "two": n % 2} for n in range(ROWS)]
    publish_small_parts(engine, rows)
    asked: dict[str, Any] = {"filters": [entry("one", "LESS_THAN", 2)], "sort_by": "two", "descending": descending}
    (range_,) = engine.plan(engine.exporter(), "json", **asked).ranges
    assert [len(piece.parts) for piece in range_.subranges] == [2, 1]
    wanted = [row["n"] for row in rows if row["one"] < 2]
    wanted.sort(key=lambda n: -(n % 2) if descending else n % 2)
    assert [row["n"] for row in engine.export_rows(engine.exporter(threads=2), **asked)] == wanted


def test_an_export_that_reads_no_row_group_is_an_empty_file(engine: Engine, tmp_path: Path) -> None:
    filters = [entry("number", "EQUALS", 10**12)]
    assert engine.export_bytes("csv", filters=filters).count(b"\n") == 1
    assert engine.export_bytes("json", filters=filters) == b"[]"
    path = tmp_path / "empty.parquet"
    path.write_bytes(engine.export_bytes("parquet", filters=filters))
    assert pa.parquet.read_table(path).num_rows == 0
