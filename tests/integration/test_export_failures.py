"""Exports that are cancelled, fail on a damaged run, or exist already."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.catalog.manifest import Part
from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import Cancelled, EngineError, SourceDamaged, StoreError, StoreUnavailable
from engine.execute.executor import ExecutionContext, run_ranges
from engine.execute.run_files import RunFiles
from engine.exports.export import export_key
from engine.stores import DirectoryStore, ObjectStore, Upload, block_stream
from tests.helpers.engine import NOW, Engine, entry
from tests.helpers.stores import any_store

ROWS = [{"n": n, "text": str(n * 7919)} for n in range(5000)]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every export an upload of several blocks."""
    monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((50_000, 4_000),))


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore) -> Engine:
    engine = Engine(tmp_path / "engine", store)
    engine.publish_rows(ROWS)
    return engine


def _remove(store: ObjectStore, part: Part) -> None:
    store.delete(part.key)


def _replace(store: ObjectStore, part: Part) -> None:
    store.replace(part.key, store.read(part.key), etag=part.etag)


def _shorten(store: ObjectStore, part: Part) -> None:
    path = store.local_path(part.key)
    if path is None:
        store.replace(part.key, store.read(part.key)[:-100], etag=part.etag)
    else:
        with path.open("r+b") as file:
            file.truncate(part.bytes - 100)


def _overwrite(store: ObjectStore, part: Part) -> None:
    store.replace(part.key, b"\0" * part.bytes, etag=part.etag)


SORTED: dict[str, Any] = {"sort_by": "text"}
ORDERS: list[Any] = [pytest.param({}, id="in run order"), pytest.param(SORTED, id="sorted")]

DAMAGES = [_remove, _replace, _shorten, _overwrite]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_raises_source_damaged_and_leaves_no_file(
    engine: Engine, damage: Callable[[ObjectStore, Part], None]
) -> None:
    exporter = engine.exporter()
    plan = engine.plan(exporter, "csv")
    damage(engine.store, plan.run.parts[0])
    with pytest.raises(SourceDamaged):
        exporter.export(plan, CancelToken())
    assert engine.keys("w/") == []


@pytest.mark.parametrize("damage", [_remove, _overwrite])
def test_a_part_that_is_damaged_after_the_check_raises_too(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, damage: Callable[[ObjectStore, Part], None]
) -> None:
    exporter = engine.exporter()
    plan = engine.plan(exporter, "csv")
    monkeypatch.setattr(engine.results, "check_parts", lambda run: damage(engine.store, run.parts[0]))
    with pytest.raises(EngineError) as raised:
        exporter.export(plan, CancelToken())
    assert isinstance(raised.value, SourceDamaged | StoreError)
    assert engine.keys("w/") == []


@pytest.mark.parametrize(
    ("threads", "format_name", "asked"),
    [(1, "csv", {}), (3, "csv", SORTED), (3, "parquet", {}), (1, "parquet", SORTED)],
)
def test_a_cancelled_export_leaves_nothing(
    engine: Engine, threads: int, format_name: str, asked: dict[str, Any]
) -> None:
    cancel = CancelToken()
    exporter = engine.exporter(threads=threads, range_bytes=1)
    with pytest.MonkeyPatch.context() as patch:
        _on_stage(engine, patch, cancel.cancel)
        with pytest.raises(Cancelled):
            exporter.export(engine.plan(exporter, format_name, **asked), cancel)
    assert engine.keys("w/") == []
    assert _left(engine) == []
    assert engine.export(format_name).rows == len(ROWS)


def test_a_cancel_takes_effect_while_the_last_blocks_are_uploaded(engine: Engine) -> None:
    cancel = CancelToken()

    def late() -> None:
        # By then all rows are written, and only blocks are still being uploaded.
        time.sleep(0.5)
        cancel.cancel()

    exporter = engine.exporter()
    with pytest.MonkeyPatch.context() as patch:
        _on_stage(engine, patch, late)
        with pytest.raises(Cancelled):
            exporter.export(engine.plan(exporter, "csv"), cancel)
    assert engine.keys("w/") == []


def test_an_export_cancelled_before_it_began_leaves_nothing(engine: Engine) -> None:
    cancel = CancelToken()
    cancel.cancel()
    exporter = engine.exporter()
    with pytest.raises(Cancelled):
        exporter.export(engine.plan(exporter), cancel)
    assert engine.keys("w/") == []


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("asked", ORDERS)
def test_a_store_that_fails_while_an_export_is_written_leaves_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, threads: int, asked: dict[str, Any]
) -> None:
    def fail() -> None:
        raise StoreUnavailable("gone")

    _on_stage(engine, monkeypatch, fail)
    with pytest.raises(StoreUnavailable):
        engine.export("csv", engine.exporter(threads=threads), **asked)
    assert engine.keys("w/") == []
    assert _left(engine) == []


@any_store
@pytest.mark.parametrize("asked", ORDERS)
def test_a_sink_that_raises_fails_the_export(engine: Engine, asked: dict[str, Any]) -> None:
    def refuse(_: object) -> None:
        raise StoreUnavailable("gone")

    plan = engine.plan(engine.exporter(), "csv", **asked)
    files = RunFiles(engine.store, plan.run.parts, plan.run.published_at)
    with pytest.raises(StoreUnavailable):
        run_ranges(plan, files, refuse, ExecutionContext(engine.settings(3), CancelToken(), Progress()))


def test_equal_requests_share_one_object(engine: Engine) -> None:
    asked: dict[str, Any] = {"filters": [entry("n", "LESS_THAN", 10)], "sort_by": "n"}
    first = engine.export("csv", **asked)
    key = export_key(first.workflow_id, first.export_id, first.format)
    made = engine.store.head(key)
    assert engine.export("csv", engine.exporter(threads=3), **asked) == first
    assert engine.store.head(key) == made
    assert engine.keys("w/") == [key]


@any_store
def test_different_requests_have_different_objects(engine: Engine) -> None:
    asked: list[dict[str, Any]] = [
        {},
        {"sort_by": "n"},
        {"sort_by": "n", "descending": True},
        {"include_row_ids": True},
        {"row_ids": ["000000000001"]},
        *({"filters": [entry("text", "EQUALS", value)]} for value in (1, "1", True)),
    ]
    exporter = engine.exporter()
    plans = [engine.plan(exporter, name, **one) for one in asked for name in ("csv", "json")]
    assert len({plan.export_id for plan in plans}) == len(plans)


def test_the_clock_is_part_of_the_export_id_only_with_a_relative_filter(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.publish_rows([{"d": "2026-06-15"}])
    early, late = engine.exporter(), engine.exporter(clock=lambda: NOW.replace(year=2027))
    window = [entry("d", "WITHIN_LAST_DAYS", 3)]
    assert engine.plan(early).export_id == engine.plan(late).export_id
    assert engine.plan(early, filters=window).export_id != engine.plan(late, filters=window).export_id


CELLS: dict[str, tuple[list[str | None], str, bool]] = {
    # Cells, their type, and whether the selected rows may change within the same day.
    "days": (["2026-06-14", "2026-06-15", "2026-06-16"], "DATE", False),
    "past timestamps": (["2026-06-14T01:00:00Z", "2026-06-15T12:30:14.999999Z"], "DATETIME", False),
    "a future timestamp": (["2026-06-14T01:00:00Z", "2026-06-15T12:30:15.000001Z"], "DATETIME", True),
    "no timestamp": ([None], "DATETIME", False),
    "timestamps as text": (["2026-06-14T01:00:00Z"], "STRING", True),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_relative_filter_is_the_same_export_while_it_selects_the_same_rows(tmp_path: Path, name: str) -> None:
    cells, data_type, changes = CELLS[name]
    engine = Engine(tmp_path)
    engine.publish_rows([{"d": cell} for cell in cells], schema=engine.write_schema(d=data_type))
    window = [entry("d", "WITHIN_LAST_DAYS", 1)]
    clocks = {"now": NOW, "soon": NOW + timedelta(minutes=1), "tomorrow": NOW + timedelta(days=1)}
    plans = {
        at: engine.plan(engine.exporter(clock=partial(_same, moment)), "csv", filters=window)
        for at, moment in clocks.items()
    }
    assert (plans["now"].export_id != plans["soon"].export_id) == changes
    assert plans["now"].export_id != plans["tomorrow"].export_id
    if not changes:
        stores = {at: DirectoryStore(tmp_path / at) for at in plans}
        made = {at: engine.exporter(exports=stores[at]).export(plan, CancelToken()) for at, plan in plans.items()}
        assert made["now"].sha256 == made["soon"].sha256


def _same(moment: datetime) -> datetime:
    return moment


def _left(engine: Engine) -> list[object]:
    """The temporary files of an export, and the thread that reads its pipe."""
    threads = [thread for thread in threading.enumerate() if thread.name == "pipe"]
    return [*engine.settings(1).spill_directory.iterdir(), *threads]


def _on_stage(engine: Engine, monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Call ``action`` whenever a block of an export is staged."""
    begin = engine.store.begin

    def wrapped(key: str, *, content_type: str) -> Upload:
        upload = begin(key, content_type=content_type)
        stage = upload.stage

        def staging(ordinal: int, data: bytes | memoryview) -> str:
            action()
            return stage(ordinal, data)

        monkeypatch.setattr(upload, "stage", staging)
        return upload

    monkeypatch.setattr(engine.store, "begin", wrapped)


def test_an_object_that_appears_after_the_lookup_is_used(engine: Engine) -> None:
    exporter = engine.exporter()
    plan = engine.plan(exporter, "csv")
    assert exporter.finished(plan) is None
    other = engine.export("csv", engine.exporter(threads=3))
    key = export_key(other.workflow_id, other.export_id, other.format)
    made = engine.store.head(key)
    assert exporter.export(plan, CancelToken(), known_missing=True) == other
    assert engine.store.head(key) == made
