"""Pages of rows and column profiles against plain Python, over a run of several parts with several row groups."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, LimitExceeded, SourceDamaged
from engine.publishing import publisher
from engine.query.preview import ColumnProfile, page, read_column, read_page
from tests.helpers.engine import Engine, entry

START = datetime(2024, 1, 1, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {
        "n": n,
        "share": None if n % 5 == 0 else n / 7,
        "kind": None if n % 11 == 0 else "abcdefghijklmno"[n % 15],
        "flag": n % 4 == 0,
        "when": (START + timedelta(hours=n)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "inner": {"small": n % 6},
    }
    for n in range(9000)
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    engine = Engine(tmp_path_factory.mktemp("reading"))
    schema = engine.write_schema(
        n="NUMBER", share="NUMBER", kind="STRING", flag="BOOLEAN", when="DATETIME", inner="OBJECT"
    )
    with pytest.MonkeyPatch.context() as patch:
        options = "FORMAT parquet, ROW_GROUP_SIZE 2048, ROW_GROUPS_PER_FILE 2, FILENAME_PATTERN '{i}'"
        patch.setattr(publisher, "_COPY_OPTIONS", options)
        run = engine.publish_rows(ROWS, schema=schema)
    assert [len(part.row_groups) for part in run.parts] == [2, 2, 1]
    return engine


def read_rows(engine: Engine, offset: int, limit: int, **asked: Any) -> tuple[list[Any], int]:
    plan = engine.plan(engine.exporter(), "json", **asked)
    found = read_page(
        plan, engine.results, offset=offset, limit=limit, settings=engine.settings(2), cancel=CancelToken()
    )
    return json.loads(found.rows), found.total


def profile_of(engine: Engine, path: str, **asked: Any) -> ColumnProfile:
    plan = engine.plan(engine.exporter(), "json", **asked)
    return read_column(plan, path, engine.results, settings=engine.settings(2), cancel=CancelToken())


@pytest.mark.parametrize("offset", [0, 2047, 4090, 4096, 8190, 8999, 9000, 10**12])
@pytest.mark.parametrize("limit", [0, 1, 10, 5000])
def test_a_page_has_the_rows_at_its_offset(engine: Engine, offset: int, limit: int) -> None:
    assert read_rows(engine, offset, limit) == (ROWS[offset : offset + limit], len(ROWS))


@pytest.mark.parametrize("offset", [0, 500, 1490, 1600])
def test_a_page_of_a_filter_has_its_rows_and_total(engine: Engine, offset: int) -> None:
    kept = [row for row in ROWS if row["inner"]["small"] == 3]
    found = read_rows(engine, offset, 10, filters=[entry("inner.small", "EQUALS", 3)])
    assert found == (kept[offset : offset + 10], len(kept))


@pytest.mark.parametrize("offset", [0, 590, 600, 4000])
def test_a_page_of_a_sort_has_ties_in_run_order(engine: Engine, offset: int) -> None:
    keys = [row["kind"] for row in ROWS if row["kind"] is not None]
    ordered = sorted((row for row in ROWS if row["kind"] is not None), key=lambda row: row["kind"])
    assert len(keys) > 600
    assert read_rows(engine, offset, 25, sort_by="kind") == (
        (ordered + [row for row in ROWS if row["kind"] is None])[offset : offset + 25], len(ROWS),
    )  # fmt: skip


def test_a_page_beyond_the_maximum_bytes_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_PAGE_BYTES", 1000)
    with pytest.raises(LimitExceeded, match="lower limit"):
        read_rows(engine, 0, 1000)


def test_the_profile_of_numbers(engine: Engine) -> None:
    values = [row["share"] for row in ROWS if row["share"] is not None]
    found = profile_of(engine, "share")
    assert (found.rows, found.nulls, found.distinct, found.exact) == (
        len(ROWS), len(ROWS) - len(values), len({*values}), True,
    )  # fmt: skip
    assert (found.minimum, found.maximum) == (repr(min(values)), repr(max(values)))
    assert found.bins[0].low == min(values)
    assert found.bins[-1].high == pytest.approx(max(values))
    for one in found.bins[:-1]:
        # Rounding may put a value at an edge into either bin.
        assert abs(one.count - sum(one.low <= value < one.high for value in values)) <= 1
    assert sum(one.count for one in found.bins) == len(values)


def test_small_integers_have_one_bin_each(engine: Engine, tmp_path: Path) -> None:
    other = Engine(tmp_path / "integers")
    other.publish_rows([{"n": n % 6} for n in range(600)])
    assert [(one.low, one.high, one.count) for one in profile_of(other, "n").bins] == [
        (n, n + 1, 100) for n in range(6)
    ]


def test_the_profile_of_timestamps(engine: Engine) -> None:
    found = profile_of(engine, "when")
    assert (found.minimum, found.maximum) == (ROWS[0]["when"], ROWS[-1]["when"])
    assert found.bins[0].low == START.timestamp()
    assert sum(one.count for one in found.bins) == len(ROWS)


def test_the_most_frequent_values(engine: Engine) -> None:
    counts: dict[str, int] = {}
    for row in ROWS:
        if row["kind"] is not None:
            counts[row["kind"]] = counts.get(row["kind"], 0) + 1
    wanted = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:10]
    assert [(one.value, one.count) for one in profile_of(engine, "kind").top] == wanted
    assert {one.value: one.count for one in profile_of(engine, "flag").top} == {"true": 2250, "false": 6750}


def test_a_profile_is_of_the_matching_rows(engine: Engine) -> None:
    found = profile_of(engine, "n", filters=[entry("flag", "EQUALS", True), entry("n", "LESS_THAN", 100)])
    assert (found.rows, found.minimum, found.maximum) == (25, "0.0", "96.0")


def test_values_without_a_finite_range_have_no_bins(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "odd")
    engine.publish(
        engine.write_csv(["x"], [["NaN"], ["Infinity"], ["-1e308"], ["1e308"], [""]]),
        schema=engine.write_schema(x="NUMBER"),
    )
    found = profile_of(engine, "x")
    assert (found.rows, found.nulls, found.minimum, found.maximum) == (5, 1, "-1e+308", "NaN")
    assert found.bins == ()


def test_a_run_without_rows(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "none")
    engine.publish(engine.write_csv(["x"], []), schema=engine.write_schema(x="NUMBER"))
    assert read_rows(engine, 0, 25) == ([], 0)
    assert read_rows(engine, 0, 25, filters=[entry("x", "GREATER_THAN", 1)], sort_by="x") == ([], 0)
    found = profile_of(engine, "x")
    assert (found.rows, found.nulls, found.distinct, found.bins) == (0, 0, 0, ())


def test_a_cancelled_page_is_not_read(engine: Engine) -> None:
    cancel = CancelToken()
    cancel.cancel()
    plan = engine.plan(engine.exporter(), "json")
    with pytest.raises(Cancelled):
        read_page(plan, engine.results, offset=0, limit=1, settings=engine.settings(1), cancel=cancel)


def test_a_part_that_was_replaced_is_not_read(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "replaced")
    run = engine.publish_rows(ROWS[:10])
    path = engine.store.local_path(run.parts[0].key)
    assert path is not None
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(SourceDamaged):
        read_rows(engine, 0, 1)
