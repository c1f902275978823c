"""Bloom filters of row ids that come from a field: they save reading row groups and never lose a row."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.catalog.manifest import Run, RunObject
from engine.catalog.row_group_stats import read_row_groups
from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, InvalidInput, SourceDamaged, StoreUnavailable
from engine.exports.sweep import Sweeper
from engine.exports.verify import verify_run
from engine.plan import bloom_filters
from engine.plan.bloom_filters import build_filters
from engine.plan.planner import ExportPlan
from engine.publishing import publisher
from engine.publishing.publisher import Publication
from engine.stores.port import ObjectInfo, ObjectStore
from tests.helpers.engine import NOW, Engine, entry
from tests.helpers.small_parts import GROUP_ROWS, SMALL_PARTS, groups_read, publish_small_parts

ROWS = 20_000
GROUPS = 10


def _id(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


def _row(n: int) -> dict[str, Any]:
    return {"n": n, "key": _id(n), "third": n % 3}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Three parts with four, four and two row groups."""
    engine = Engine(tmp_path_factory.mktemp("filtered"))
    publish_small_parts(engine, [_row(n) for n in range(ROWS)], row_id="key")
    return engine


def _pruned(engine: Engine, **asked: Any) -> ExportPlan:
    exporter = engine.exporter()
    return exporter.prune_by_bloom(engine.plan(exporter, "csv", **asked), CancelToken())


def _of(numbers: list[int]) -> int:
    return len({n // GROUP_ROWS for n in numbers})


@pytest.mark.parametrize("numbers", [[0], [ROWS - 1], [5, 2_047, 2_048, 9_000], list(range(100, 140))])
def test_only_row_groups_that_have_an_id_are_read(engine: Engine, numbers: list[int]) -> None:
    ids = [_id(n) for n in reversed(numbers)]
    assert groups_read(_pruned(engine, row_ids=ids)) == _of(numbers)
    assert [row["n"] for row in engine.export_rows(row_ids=ids)] == numbers


@pytest.mark.parametrize("descending", [False, True])
def test_a_sorted_export_by_id_reads_no_more_row_groups(engine: Engine, descending: bool) -> None:
    numbers = [7, 3_000, 3_001, 12_345, 19_999]
    asked: dict[str, Any] = {"row_ids": [_id(n) for n in numbers], "sort_by": "third", "descending": descending}
    assert groups_read(_pruned(engine, **asked)) == _of(numbers)
    expected = sorted(numbers, key=lambda n: -(n % 3) if descending else n % 3)
    assert [row["n"] for row in engine.export_rows(**asked)] == expected


def test_many_ids_are_not_bound_for_each_subrange_of_a_sort(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [5, 5_000, 19_000]
    asked: dict[str, Any] = {"row_ids": [_id(n) for n in numbers], "sort_by": "third"}
    monkeypatch.setattr("engine.plan.planner.MAX_BOUND_VALUES", 9)
    assert len(_pruned(engine, **asked).ranges[0].subranges) == 3
    monkeypatch.setattr("engine.plan.planner.MAX_BOUND_VALUES", 8)
    assert _pruned(engine, **asked).ranges[0].subranges == ()
    assert [row["n"] for row in engine.export_rows(**asked)] == sorted(numbers, key=lambda n: n % 3)


def test_row_ids_and_filters_prune_together(engine: Engine) -> None:
    ids = [_id(n) for n in (5, 9_000, 19_000)]
    filters = [entry("n", "LESS_THAN", 9_001)]
    assert groups_read(_pruned(engine, row_ids=ids, filters=filters)) == 2
    assert [row["n"] for row in engine.export_rows(row_ids=ids, filters=filters)] == [5, 9_000]


def test_unknown_ids_rarely_pass_a_filter(engine: Engine) -> None:
    """1,000 ids times ten row groups: about six false positives are expected, hundreds if the filters were wrong."""
    asked = [_pruned(engine, row_ids=[_id(n)]) for n in range(ROWS, ROWS + 1_000)]
    assert sum(map(groups_read, asked)) < 40
    assert engine.export_rows(row_ids=["nothing", "é", "\U0001f600", " "]) == []


def test_a_dry_run_checks_the_ids_and_makes_no_filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def write_filters(*arguments: object) -> dict[Path, Path]:
        made.append(arguments)
        return {}

    monkeypatch.setattr(publisher, "_COPY_OPTIONS", SMALL_PARTS)
    monkeypatch.setattr(publisher, "write_filters", write_filters)
    engine = Engine(tmp_path / "trial")
    rows = [_row(n) for n in range(GROUP_ROWS + 1)]
    publication = Publication("w", "r", (engine.write_parquet(pa.Table.from_pylist(rows)),), row_id="key")
    assert engine.publisher.try_out(publication).rows == len(rows)
    assert made == []
    engine.publisher.publish(publication)
    assert len(made) == 1
    twice = engine.write_parquet(pa.Table.from_pylist([*rows, rows[0]]))
    with pytest.raises(InvalidInput, match="not unique"):
        engine.publisher.try_out(replace(publication, run="twice", files=(twice,)))


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
@settings(max_examples=50, deadline=None)
def test_a_filter_has_every_id_of_its_rows(tmp_path_factory: pytest.TempPathFactory, ids: set[str]) -> None:
    engine = Engine(tmp_path_factory.mktemp("any"))
    path = engine.write_parquet(pa.table({"_row_id": sorted(ids)}))
    with duckdb.connect() as connection:
        groups = read_row_groups(path)
        (content,) = build_filters(connection, path, groups)
    assert len(content) == bloom_filters._size(groups[0])
    for one in ids:
        assert bloom_filters._may_have_any(memoryview(content), [bloom_filters._hash(one)])


def test_beyond_the_maximum_lookups_all_row_groups_are_read(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [_id(n) for n in (5, 19_000)]
    with monkeypatch.context() as patch:
        patch.setattr(bloom_filters, "MAX_LOOKUPS", 2 * GROUPS - 1)
        assert groups_read(_pruned(engine, row_ids=ids)) == GROUPS
        assert groups_read(_pruned(engine, row_ids=ids[:1])) == 1
    monkeypatch.setattr(bloom_filters, "MAX_BLOOM_FILTERS", GROUPS - 1)
    assert groups_read(_pruned(engine, row_ids=ids[:1])) == GROUPS
    assert [row["n"] for row in engine.export_rows(row_ids=ids)] == [5, 19_000]


def _filters(run: Run) -> list[RunObject]:
    return [part.row_id_filters for part in run.parts if part.row_id_filters is not None]


def test_filters_are_made_only_for_ids_of_a_field(engine: Engine, tmp_path: Path) -> None:
    run = engine.plan(engine.exporter()).run
    assert len(_filters(run)) == len(run.parts) == 3
    other = Engine(tmp_path)
    assert _filters(publish_small_parts(other, [_row(n) for n in range(ROWS)], run="made")) == []
    assert _filters(publish_small_parts(other, [_row(n) for n in range(100)], run="one", row_id="key")) == []


def test_a_manifest_without_filters_is_read_as_before(engine: Engine) -> None:
    document = engine.plan(engine.exporter()).run.model_dump(by_alias=True, mode="json")
    for part in document["parts"]:
        del part["rowIdFilters"]
    assert _filters(Run.model_validate(document)) == []


@pytest.fixture
def own(tmp_path: Path, store: ObjectStore) -> Engine:
    """A run of one's own to damage, of one part, in either store."""
    engine = Engine(tmp_path, store)
    publish_small_parts(engine, [_row(n) for n in range(5_000)], row_id="key")
    return engine


def test_filters_are_read_from_where_the_run_is(own: Engine) -> None:
    assert groups_read(_pruned(own, row_ids=[_id(4_999)])) == 1
    assert [row["n"] for row in own.export_rows(row_ids=[_id(4_999), _id(0)])] == [0, 4_999]


@pytest.mark.parametrize("damage", ["missing", "changed", "short", "one bit"])
def test_filters_of_another_run_are_reported_as_damage(own: Engine, damage: str) -> None:
    plan = own.plan(own.exporter(), "csv", row_ids=[_id(1)])
    (filters,) = _filters(plan.run)
    content = own.store.read(filters.key)
    if damage == "missing":
        own.store.delete(filters.key)
    elif damage == "changed":
        own.store.replace(filters.key, bytes(len(content)), etag=filters.etag)
    else:
        # As by a disk, where size and time tell nothing of it.
        other = content[1:] if damage == "short" else bytes([*content[:5_000], content[5_000] ^ 1, *content[5_001:]])
        info = own.store.replace(filters.key, other, etag=filters.etag)
        changed = filters.model_copy(update={"etag": info.etag})
        part = plan.run.parts[0].model_copy(update={"row_id_filters": changed})
        run = plan.run.model_copy(update={"parts": (part,)})
        plan = replace(plan, run=run)
    before = own.keys()
    with pytest.raises(SourceDamaged):
        own.exporter().export(plan, CancelToken())
    assert own.keys() == before
    wrong = [one.key for one in verify_run(own.results, plan.run) if one.problem]
    assert wrong == [filters.key]
    # Requests that need no filters are answered.
    assert len(own.export_rows()) == 5_000


def test_a_cancelled_lookup_ends(own: Engine) -> None:
    cancel = CancelToken()
    cancel.cancel()
    exporter = own.exporter()
    with pytest.raises(Cancelled):
        exporter.prune_by_bloom(own.plan(exporter, row_ids=[_id(1)]), cancel)


def test_a_sweep_keeps_filters_of_runs_and_removes_others(own: Engine) -> None:
    orphan = "workflow=w/run=r/part-00000-deadbeef.bloom"
    own.store.create(orphan, b"1234567", content_type="application/octet-stream", metadata={})
    (filters,) = _filters(own.plan(own.exporter()).run)
    later = NOW.replace(year=2100)
    spill = own.folder / "spill"
    assert Sweeper(own.results, own.store, spill, now=later, dry_run=True).sweep().removed["parts"] == 1
    swept = Sweeper(own.results, own.store, spill, now=later).sweep()
    assert (swept.removed["parts"], own.store.head(orphan)) == (1, None)
    assert own.store.head(filters.key) is not None


def test_a_publish_that_cannot_store_its_filters_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(tmp_path)
    create = engine.store.create

    def refuse(key: str, *arguments: Any, **options: Any) -> ObjectInfo:
        if key.endswith(".bloom") and "part-00001" in key:
            raise StoreUnavailable("The store is gone.")
        return create(key, *arguments, **options)

    monkeypatch.setattr(engine.store, "create", refuse)
    with pytest.raises(StoreUnavailable):
        publish_small_parts(engine, [_row(n) for n in range(ROWS)], row_id="key")
    assert engine.keys("workflow=w/run=") == []
