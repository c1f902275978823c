"""Row groups that cannot match are never opened, and what is kept is all that the filter would have found."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine import publisher
from engine.operators import OPERATORS
from tests.helpers.engine import NOW, Engine, entry
from tests.helpers.operator_oracle import matches

ROWS = 20_480
GROUPS = 10
_FIRST = datetime(2026, 6, 1, tzinfo=UTC)


def _clustered(n: int) -> dict[str, Any]:
    return {
        "n": n,
        "number": n - 10_000,
        "double": (n - 10_000) / 4,
        "decimal": Decimal(n) / 100,
        "text": f"k{n:06}",
        "moment": _FIRST + timedelta(minutes=n),
        "day": date(2026, 1, 1) + timedelta(days=n // 1000),
        "flag": n >= ROWS // 2,
        "some": None if n < ROWS // 2 else n,
        "inner": {"n": n},
        "a.b": n,
        "a": {"b": -n},
    }


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Three parts, of four, four and two row groups, in the order of every column."""
    engine = Engine(tmp_path_factory.mktemp("prune"))
    with pytest.MonkeyPatch.context() as patch:
        options = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048, ROW_GROUPS_PER_FILE 4, FILENAME_PATTERN '{i}'"
        patch.setattr(publisher, "_COPY_OPTIONS", options)
        table = pa.Table.from_pylist([_clustered(n) for n in range(ROWS)])
        run = engine.publish(engine.write_parquet(table))
    assert sum(len(part.row_groups) for part in run.parts) == GROUPS
    return engine


def _read(engine: Engine, **asked: Any) -> int:
    """How many row groups a request reads."""
    plan = engine.plan(engine.exporter(), "csv", **asked)
    rows = sum((range_.end or part.rows) - (range_.first or 0) for range_ in plan.ranges for part in range_.parts)
    assert rows % 2048 == 0
    return rows // 2048


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
    ("moment", "AFTER", "2026-06-15T00:00Z", 1),
    ("moment", "WITHIN_LAST_DAYS", 1, 1),
    ("day", "BEFORE", "2026-01-02T12:00Z", 1),
    ("flag", "EQUALS", True, 5),
    ("some", "IS_NULL", None, 5),
    ("some", "IS_NOT_NULL", None, 5),
    ("some", "EQUALS", 15_000, 1),
    ("inner.n", "EQUALS", 7, 1),
    # Nothing can be told of these, so all is read.
    ("a.b", "EQUALS", 7, GROUPS),
    ("number", "NOT_EQUALS", 5, GROUPS),
    ("text", "CONTAINS", "k000000", GROUPS),
    ("text", "GREATER_THAN", "5", GROUPS),
]


@pytest.mark.parametrize(("field", "operator", "value", "groups"), READ)
def test_only_what_can_match_is_read(engine: Engine, field: str, operator: str, value: Any, groups: int) -> None:
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


def test_row_ids_are_looked_up_where_they_are(engine: Engine) -> None:
    ids = [f"{n:012}" for n in (20_479, 3, 3, 5)]
    assert _read(engine, row_ids=ids) == 2
    assert [row["n"] for row in engine.export_rows(row_ids=ids)] == [3, 5, 20_479]
    assert _read(engine, row_ids=["nothing"]) == 0
    assert engine.export_rows(row_ids=["nothing"]) == []


def test_filters_prune_together_and_a_sort_reads_whole_parts(engine: Engine) -> None:
    filters = [entry("number", "GREATER_THAN", 0), entry("number", "LESS_THAN", 10)]
    assert _read(engine, filters=filters) == 1
    assert _read(engine, filters=filters, sort_by="text") == 4
    found = engine.export_rows(filters=filters, sort_by="text", descending=True)
    assert [row["number"] for row in found] == list(range(9, 0, -1))


def test_nothing_in_sight_is_an_empty_file(engine: Engine, tmp_path: Path) -> None:
    filters = [entry("number", "EQUALS", 10**12)]
    assert engine.export_bytes("csv", filters=filters).count(b"\n") == 1
    assert engine.export_bytes("json", filters=filters) == b"[]"
    path = tmp_path / "empty.parquet"
    path.write_bytes(engine.export_bytes("parquet", filters=filters))
    assert pa.parquet.read_table(path).num_rows == 0
