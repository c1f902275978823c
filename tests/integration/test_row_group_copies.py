"""Row groups that a filter keeps whole are copied into a Parquet export; the rows are those of plain Python."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.catalog.manifest import RowGroup
from engine.catalog.row_group_stats import read_row_groups
from engine.catalog.schema import Schema
from engine.common.quoting import literal
from engine.common.strict_json import loads
from engine.errors import SourceDamaged
from engine.execute import row_group_copy
from engine.plan.conditions import read_condition
from engine.plan.planner import ExportPlan
from engine.plan.pruning import bounds_for
from engine.request.request import read_filters
from tests.helpers.engine import NOW, Engine, entry
from tests.helpers.operator_oracle import matching_rows
from tests.helpers.small_parts import GROUP_ROWS, break_footer, publish_small_parts
from tests.integration.test_types import EXAMPLES

NAN, INFINITY = float("nan"), float("inf")
_LONG = "https://shop.example/" + 60 * "x"
_EAST = timezone(timedelta(hours=9))
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "integer": (pa.int64(), [-(2**63), -3, 0, 4, 5, 2**63 - 1]),
    "tiny": (pa.int8(), [-128, -1, 0, 1, 127]),
    "unsigned": (pa.uint64(), [0, 7, 2**64 - 1]),
    "double": (pa.float64(), [-INFINITY, -1.5, -0.0, 0.0, 0.1, 2.0, INFINITY, NAN]),
    "float": (pa.float32(), [-INFINITY, -1.5, -0.0, 0.0, 0.5, 2.0, INFINITY, NAN]),
    "decimal": (pa.decimal128(38, 2), [Decimal("-0.01"), Decimal("0.00"), Decimal("19.99"), Decimal("9" * 36)]),
    "text": (pa.string(), ["", "a", "b", _LONG + "1", _LONG + "2", "\U0010ffff" * 70]),
    "flag": (pa.bool_(), [True, False]),
    "day": (pa.date32(), [date(1, 1, 1), date(2026, 6, 14), date(2026, 6, 15), date(9999, 12, 31)]),
    "moment": (
        pa.timestamp("us", "Asia/Tokyo"),
        [
            datetime(1969, 12, 31, 23, 59, 59, 999_999, _EAST),
            datetime(2026, 6, 15, 9, tzinfo=_EAST),
            datetime(2026, 6, 15, 9, 0, 0, 1, _EAST),
            datetime(2026, 6, 16, tzinfo=_EAST),
        ],
    ),
    "money": (
        pa.struct([("amount", pa.int64()), ("currencyCode", pa.string())]),
        [{"amount": 0, "currencyCode": "EUR"}, {"amount": 1999, "currencyCode": None}, {"amount": None}],
    ),
    "tags": (pa.list_(pa.int64()), [[], [1], [1, None], [2, 3]]),
}
COMPARISONS = ["GREATER_THAN", "GREATER_THAN_OR_EQUAL", "LESS_THAN", "LESS_THAN_OR_EQUAL"]
_NUMBERS = [*COMPARISONS, "EQUALS", "IN", "NOT_EQUALS"]
_DATES = [*_NUMBERS, "BEFORE", "AFTER", "WITHIN_LAST_DAYS"]
ASKED: dict[str, tuple[list[str], list[Any]]] = {
    "integer": (_NUMBERS, [-3, 0, 4.5, 5, "5", 2**63 - 1, 2**64, -(2**64), "1e400", "-1e400"]),
    "tiny": (_NUMBERS, [-128, 0, 0.5, 127, 128, -129]),
    "unsigned": (_NUMBERS, [-1, 0, 7, 2**64 - 1, 2**64]),
    "double": (_NUMBERS, [-1.5, 0, -0.0, 0.1, 2, "1e400", "-1e400"]),
    "float": (_NUMBERS, [-1.5, 0, -0.0, 0.5, 2, "1e39", "-1e39", "1e400"]),
    "decimal": (_NUMBERS, ["-0.01", 0, "19.99", "19.985", "9" * 36, "1e50"]),
    "text": (["EQUALS", "IN", "NOT_EQUALS", "CONTAINS"], ["", "a", "b", _LONG + "1", _LONG[:64], "5"]),
    "flag": (["EQUALS", "IN", "NOT_EQUALS"], [True, False, "true"]),
    "day": (_DATES, ["2026-06-14", "2026-06-14T12:00:00Z", "2026-06-15", "2026-06-16T00:00:00+09:00", "9999-12-31"]),
    "moment": (_DATES, ["2026-06-15", "2026-06-15T00:00:00.000001Z", "2026-06-15T09:00:00+09:00", "1969-12-31T15:00Z"]),
    "money": ([], []),
    "money.amount": (_NUMBERS, [0, 1999, 19.5]),
    "money.currencyCode": (["EQUALS", "IN"], ["EUR", "USD"]),
    "tags": (["EQUALS", "IN"], [1, 2]),
}


def _table(chance: Random, rows: int) -> pa.Table:
    """A few different values in each column, so that filters often match all or none of them."""
    columns = {}
    for name, (type_, values) in VALUES.items():
        few = chance.choices([*values, None], k=chance.choice([1, 1, 2, 3]))
        columns[name] = pa.array(chance.choices(few, k=rows), type_)
    return pa.table(columns)


def _filter(chance: Random) -> dict[str, Any]:
    field = chance.choice(list(ASKED))
    operators, values = ASKED[field]
    operator = chance.choice([*operators, "IS_NULL", "IS_NOT_NULL"])
    match operator:
        case "IS_NULL" | "IS_NOT_NULL":
            return entry(field, operator)
        case "IN":
            return entry(field, operator, chance.choices(values, k=chance.choice([1, 1, 2])))
        case "WITHIN_LAST_DAYS":
            return entry(field, operator, chance.choice([1, 2, 10**6]))
    return entry(field, operator, chance.choice(values))


def _finite(asked: dict[str, Any]) -> dict[str, Any]:
    """The filter for the oracle, which reads 1e400 as infinity; here a DOUBLE or FLOAT is at most 2, or infinite."""
    beyond = {"1e400": 1e300, "-1e400": -1e300, "1e39": 1e300, "-1e39": -1e300}
    if asked["field"] not in ("double", "float") or "value" not in asked:
        return asked
    value = asked["value"]
    value = [beyond.get(one, one) for one in value] if isinstance(value, list) else beyond.get(value, value)
    return asked | {"value": value}


def _without_some_statistics(group: RowGroup, chance: Random) -> RowGroup:
    kept = {path: one for path, one in group.statistics.items() if chance.random() < 0.9}
    for path, one in kept.items():
        drop = chance.choice([{}, {}, {}, {"minimum": None}, {"maximum": None}, {"nulls": None}])
        kept[path] = one.model_copy(update=drop)
    return group.model_copy(update={"statistics": kept})


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    """The schema of a run of all these columns."""
    engine = Engine(tmp_path_factory.mktemp("schema"))
    return engine.publish(engine.write_parquet(_table(Random(0), 1))).table


@pytest.mark.parametrize("seed", range(8))
def test_bounds_that_keep_or_skip_a_row_group_are_right_about_every_row(
    schema: Schema, seed: int, tmp_path: Path
) -> None:
    chance, kept, skipped = Random(seed), set(), set()
    path = tmp_path / "group.parquet"
    for _ in range(15):
        table = _table(chance, 4)
        # DuckDB's statistics differ from Arrow's where there is NaN.
        duckdb.from_arrow(table).write_parquet(str(path))
        (whole,) = read_row_groups(path)
        group = _without_some_statistics(whole, chance)
        rows = table.to_pylist()
        for _ in range(60):
            asked = _filter(chance)
            (read,) = read_filters(loads(json.dumps([asked])))
            column = schema.find(read.field)
            assert column is not None
            bounds = bounds_for(read_condition(read, column, NOW))
            found = [len(matching_rows([row], [_finite(asked)], NOW)) == 1 for row in rows]
            if bounds is not None and bounds.certain_in(group):
                assert all(found), (asked, rows)
                kept.add(asked["operator"])
            if bounds is not None and not bounds.possible_in(group):
                assert not any(found), (asked, rows)
                skipped.add(asked["operator"])
    decided = {*COMPARISONS, "EQUALS", "IN", "IS_NULL", "IS_NOT_NULL"}
    assert decided - kept == decided - skipped == set()


GROUPS = 6
ROWS = GROUPS * GROUP_ROWS


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Six row groups, of which each has few different values."""
    chance = Random(11)
    tables = [_table(chance, GROUP_ROWS) for _ in range(GROUPS)]
    found: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return [{"n": n, "key": f"k{n:05}", **row} for n, row in enumerate(found)]


@pytest.fixture(scope="module")
def engine(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Two parts of four and two row groups, with hashes of their rows; each row group is a range."""
    engine = Engine(tmp_path_factory.mktemp("copies"))
    types = {name: type_ for name, (type_, _) in VALUES.items()}
    schema = pa.schema([("n", pa.int64()), ("key", pa.string()), *types.items()])
    run = publish_small_parts(engine, engine.write_parquet(pa.Table.from_pylist(rows, schema)), row_id="key")
    assert run.row_hashes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.plan.planner.PARQUET_RANGE_BYTES", 1)
        yield engine


def _copied(plan: ExportPlan) -> int:
    """The number of row groups that a plan copies."""
    return sum(len(range_.copied or ()) for range_ in plan.ranges)


def _read(content: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(pa.BufferReader(content))


def _spelled(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as text: NaN equals NaN, a moment is in UTC, and a zero has no sign, as DuckDB's writer drops it."""

    def spelled(cell: Any) -> Any:
        if isinstance(cell, datetime):
            return cell.astimezone(UTC)
        return cell + 0 if isinstance(cell, float) else cell

    return [repr({name: spelled(cell) for name, cell in row.items()}) for row in rows]


def test_generated_filters_keep_the_same_rows_in_the_same_order(
    engine: Engine, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    chance, encoded = Random(5), 0
    for number in range(6):
        plan = None
        while plan is None or not _copied(plan):
            filters = [_filter(chance) for _ in range(chance.choice([1, 1, 2, 3]))]
            plan = engine.plan(engine.usual_exporter, "parquet", filters=filters)
        content = engine.export_bytes("parquet", filters=filters)
        wanted = matching_rows(rows, [_finite(asked) for asked in filters], NOW)
        found = _read(content).read()
        assert found.column_names == list(rows[0]), filters
        assert _spelled(found.to_pylist()) == _spelled(wanted), filters
        encoded += len([range_ for range_ in plan.ranges if range_.copied is None])
        if number < 3:
            fresh = Engine(tmp_path / str(number))
            assert content == fresh.content(
                engine.export("parquet", engine.exporter(threads=3, exports=fresh.store), filters=filters)
            )
    assert encoded


SOME = [entry("n", "GREATER_THAN_OR_EQUAL", 3_000), entry("n", "LESS_THAN", 5 * GROUP_ROWS)]
"""Half of row group 1, all of 2 to 4, none of 5."""


def test_row_groups_between_encoded_ones_are_those_of_the_run(engine: Engine, rows: list[dict[str, Any]]) -> None:
    assert _copied(engine.plan(engine.exporter(), "parquet", filters=SOME)) == 3
    export = engine.export("parquet", filters=SOME)
    file = _read(engine.content(export))
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [2 * GROUP_ROWS - 3_000, *[GROUP_ROWS] * 3]
    assert export.rows == file.metadata.num_rows == 5 * GROUP_ROWS - 3_000
    assert file.metadata.num_columns == len(file.schema), "neither ids nor hashes of rows"
    whole = _read(engine.export_bytes("parquet")).metadata.row_group(2)
    sizes = [
        [one.column(index).total_compressed_size for index in range(one.num_columns)] for one in (groups[1], whole)
    ]
    assert sizes[0] == sizes[1]


def test_row_ids_are_copied_on_request(engine: Engine, rows: list[dict[str, Any]]) -> None:
    table = _read(engine.export_bytes("parquet", filters=SOME, include_row_ids=True)).read()
    assert table.column_names == ["_row_id", *rows[0]]
    assert table["_row_id"].to_pylist() == [row["key"] for row in rows[3_000 : 5 * GROUP_ROWS]]


@pytest.mark.parametrize(
    ("format_name", "options"),
    [
        ("csv", {}),
        ("json", {}),
        ("parquet", {"sort_by": "n"}),
        ("parquet", {"fields": ("n", "money.amount")}),
        ("parquet", {"flatten": True}),
        ("parquet", {"row_ids": ["k04000", "k05000"]}),
    ],
)
def test_what_is_not_the_run_itself_is_encoded(engine: Engine, format_name: str, options: dict[str, Any]) -> None:
    assert _copied(engine.plan(engine.exporter(), format_name, filters=SOME, **options)) == 0


def test_a_run_of_another_version_of_duckdb_is_encoded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    filters = [*SOME, entry("n", "LESS_THAN", ROWS)]
    plan = engine.plan(engine.usual_exporter, "parquet", filters=filters)
    assert row_group_copy.with_possible_copies(plan, engine.store) is plan
    copied = _read(engine.export_bytes("parquet", filters=SOME))
    monkeypatch.setattr(row_group_copy, "_WRITER", "DuckDB version v0.0.1 ")
    assert _copied(row_group_copy.with_possible_copies(plan, engine.store)) == 0
    encoded = _read(engine.export_bytes("parquet", filters=filters))
    assert _spelled(encoded.read().to_pylist()) == _spelled(copied.read().to_pylist())


def test_columns_of_every_type_are_described_alike_where_they_are_copied_and_encoded(tmp_path: Path) -> None:
    columns = {f"x{number}": pa.concat_arrays([values] * 2) for number, values in enumerate(EXAMPLES.values())}
    arrow, path = tmp_path / "arrow.parquet", tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": [0, 1], **columns}), arrow)
    # Arrow writes no intervals.
    rows = f"SELECT *, INTERVAL '14 months 3 days' AS i FROM {literal(str(arrow))}"
    duckdb.sql(
        f"SELECT r.* REPLACE (k AS n) FROM range(5000) t(k) JOIN ({rows}) r ON r.n = k % 2 ORDER BY k"
    ).write_parquet(str(path))
    engine = Engine(tmp_path / "engine")
    publish_small_parts(engine, path)
    filters = [entry("n", "LESS_THAN", 3_000)]
    plan = engine.plan(engine.exporter(), "parquet", filters=filters)
    assert [range_.copied for range_ in plan.ranges] == [range(1), None]
    whole, found = tmp_path / "whole.parquet", tmp_path / "found.parquet"
    whole.write_bytes(engine.export_bytes("parquet"))
    found.write_bytes(engine.export_bytes("parquet", filters=filters))
    cells = [duckdb.read_parquet(str(file)).project("COLUMNS(*)::VARCHAR").limit(3_000) for file in (whole, found)]
    assert cells[0].fetchall() == cells[1].fetchall()


def test_a_part_whose_footer_is_broken_is_reported(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    run = publish_small_parts(engine, [{"n": n} for n in range(3 * GROUP_ROWS)])
    break_footer(engine.folder / "store" / run.parts[0].key)
    with pytest.raises(SourceDamaged):
        engine.export("parquet", filters=[entry("n", "GREATER_THAN", 5)])
    assert engine.keys("w/") == []
