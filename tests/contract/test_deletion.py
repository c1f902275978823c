"""Deletion of runs and workflows, on both stores: beside exports, downloads and publishers, and when it is killed."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.catalog.commits import Commits
from engine.catalog.manifest import Run, State
from engine.common.cancellation import CancelToken
from engine.errors import Conflict, NotFound, StoreError
from engine.exports.deletion import Deletion, DeletionResult
from engine.exports.export import Export, export_key
from engine.exports.exporter import Exporter
from engine.exports.status import ExportStatusStore
from engine.exports.sweep import ABANDONED_AFTER, Sweeper, SweepResult
from engine.stores import ObjectStore, open_store
from tests.helpers.engine import TEAM, WORKFLOW, Engine, entry
from tests.helpers.forks import start

ROWS: list[dict[str, object]] = [{"n": n, "text": f"{n * 7919}"} for n in range(50)]


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore) -> Engine:
    engine = Engine(tmp_path / "engine", store)
    for day, run in enumerate(("old", "new"), start=1):
        engine.publish_rows(ROWS, run=run, executed_at=datetime(2026, 11, day, tzinfo=UTC))
    return engine


def deletion(engine: Engine) -> Deletion:
    return Deletion(engine.results, engine.store)


def sweep(engine: Engine, after: timedelta = timedelta(0)) -> SweepResult:
    # Not the spill directory of this process, whose sessions are open whatever the clock of the sweep says.
    return Sweeper(engine.results, engine.store, engine.folder / "none", now=datetime.now(UTC) + after).sweep()


def export_keys(engine: Engine) -> list[str]:
    return engine.keys(f"{WORKFLOW}/")


def is_gone(engine: Engine, export: Export) -> bool:
    with pytest.raises(NotFound):
        engine.exporter().find(export.workflow_id, export.export_id)
    return True


def test_deleting_a_run_deletes_its_exports_and_corrects_the_latest_run(engine: Engine) -> None:
    plan = engine.plan(engine.exporter(), "csv")
    ExportStatusStore(engine.store).issue(plan, "nonce")
    exports = [engine.export(name, run=run) for run in ("old", "new") for name in ("csv", "json")]
    engine.exporter().retain(exports[2], datetime.now(UTC) + timedelta(days=300))
    assert deletion(engine).delete_run(WORKFLOW, "new", TEAM) == DeletionResult(runs=1, exports=2)
    assert engine.keys("workflow=w/run=new/") == []
    assert sorted(export_keys(engine)) == sorted(
        export_key(export.workflow_id, export.export_id, export.format) for export in exports[:2]
    )
    assert all(is_gone(engine, export) for export in exports[2:])
    workflow = engine.results.workflow(WORKFLOW)
    assert workflow is not None
    assert workflow.latest is not None
    assert workflow.latest.run_id == "old"
    assert engine.export_rows() == ROWS
    for run, team in (("new", TEAM), ("never", TEAM), ("old", "rival"), ("new", "rival")):
        with pytest.raises(NotFound):
            deletion(engine).delete_run(WORKFLOW, run, team)
    # Published again, it is another run: the exports of the first do not return.
    engine.publish_rows(ROWS[:3], run="new", executed_at=datetime(2026, 11, 9, tzinfo=UTC))
    assert engine.export_rows() == ROWS[:3]
    assert all(is_gone(engine, export) for export in exports[2:])


def test_the_last_run_can_be_deleted(engine: Engine) -> None:
    engine.publish_rows(ROWS, run="failed", state=State.FAILED)
    for run in ("new", "old"):
        deletion(engine).delete_run(WORKFLOW, run, TEAM)
    with pytest.raises(NotFound):
        engine.results.resolve(WORKFLOW, None, TEAM)
    assert [run.run_id for run in engine.results.runs(WORKFLOW)] == ["failed"]
    deletion(engine).delete_run(WORKFLOW, "failed", TEAM)
    assert engine.keys() == ["workflow=w/workflow.json"]
    engine.publish_rows(ROWS[:1], run="again")
    assert engine.export_rows() == ROWS[:1]


def test_deleting_a_workflow_deletes_its_runs_and_exports(engine: Engine) -> None:
    engine.publish_rows(ROWS, run="r", workflow="other")
    kept = engine.export("csv", workflow="other")
    exports = [engine.export("csv", run=run) for run in ("old", "new")]
    for name in ("rival", "nobody"):
        with pytest.raises(NotFound):
            deletion(engine).delete_workflow(WORKFLOW, name)
    assert deletion(engine).delete_workflow(WORKFLOW, TEAM) == DeletionResult(runs=2, exports=2)
    assert all(is_gone(engine, export) for export in exports)
    assert engine.keys("workflow=w/") + export_keys(engine) == []
    assert engine.content(kept) == engine.export_bytes("csv", workflow="other")
    with pytest.raises(NotFound):
        deletion(engine).delete_workflow(WORKFLOW, TEAM)
    # Its id is free, also for another team.
    engine.publish_rows(ROWS[:1], team="rival")


def test_a_workflow_is_invisible_once_its_deletion_has_begun(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def look(self: Deletion, workflow_id: str) -> DeletionResult:
        seen.extend([engine.results.workflow(workflow_id), list(engine.results.workflows())])
        for run in (None, "old", "new"):
            with pytest.raises(NotFound):
                engine.results.resolve(WORKFLOW, run, TEAM)
        with pytest.raises(Conflict, match="is being deleted"):
            engine.publish_rows(ROWS, run="more")
        return DeletionResult(0, 0)

    with monkeypatch.context() as patch:
        patch.setattr(Deletion, "complete", look)
        deletion(engine).delete_workflow(WORKFLOW, TEAM)
    assert seen == [None, []]
    assert engine.keys("workflow=w/run=more/") == []
    assert sweep(engine).removed["deleted workflows"] == 1
    assert engine.keys() == []


@pytest.mark.parametrize("what", ["run", "workflow"])
@pytest.mark.parametrize("moment", ["before it is staged", "before its commit", "after its commit"])
def test_an_export_of_a_run_that_is_deleted_meanwhile_leaves_no_file(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, what: str, moment: str
) -> None:
    exporter = engine.exporter()
    plan = engine.plan(exporter, "csv")

    def delete() -> None:
        if what == "run":
            deletion(engine).delete_run(WORKFLOW, "new", TEAM)
        else:
            deletion(engine).delete_workflow(WORKFLOW, TEAM)

    commit = Exporter._commit

    def deleting(self: Exporter, *arguments: Any) -> Any:
        if moment == "before its commit":
            delete()
            return commit(self, *arguments)
        info = commit(self, *arguments)
        delete()
        return info

    if moment == "before it is staged":
        delete()
    else:
        monkeypatch.setattr(Exporter, "_commit", deleting)
    with pytest.raises(NotFound):
        exporter.export(plan, CancelToken())
    assert export_keys(engine) == []


def test_an_exporter_removes_an_export_that_the_deletion_missed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion lists the exports before this one exists."""
    exporter = engine.exporter()
    plan = engine.plan(exporter, "csv")
    commit = Exporter._commit

    def deleting(self: Exporter, *arguments: Any) -> Any:
        info = commit(self, *arguments)
        monkeypatch.setattr(Deletion, "remove_exports", lambda *_: 0)
        deletion(engine).delete_run(WORKFLOW, "new", TEAM)
        assert export_keys(engine) != []
        return info

    monkeypatch.setattr(Exporter, "_commit", deleting)
    with pytest.raises(NotFound):
        exporter.export(plan, CancelToken())
    assert export_keys(engine) == []


def test_a_download_during_a_deletion_completes_or_fails(engine: Engine) -> None:
    export = engine.export("csv")
    whole = engine.content(export)
    info = engine.exporter().find(WORKFLOW, export.export_id).info
    begun = engine.store.stream(info.key, start=0, length=info.size, etag=info.etag)
    first = next(begun)
    deletion(engine).delete_run(WORKFLOW, "new", TEAM)
    try:
        got = first + b"".join(begun)
    except StoreError:
        return
    assert got == whole


@pytest.mark.parametrize("what", ["run", "workflow"])
@pytest.mark.parametrize("first", [True, False], ids=["new workflow", "workflow with runs"])
def test_deleting_a_run_while_it_is_published_raises_conflict_and_leaves_nothing(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, what: str, first: bool
) -> None:
    """It is deleted between the writes of its manifest and of the workflow."""
    engine = Engine(tmp_path / "engine", store)
    if not first:
        engine.publish_rows(ROWS, run="old")
    advance = Commits.advance

    def deleting(commits: Commits, run: Run, name: str) -> None:
        monkeypatch.setattr(Commits, "advance", advance)
        if what == "run" and first:
            # Without a workflow, no caller can delete it, but a sweep does so a day later.
            assert sweep(engine, ABANDONED_AFTER + timedelta(minutes=5)).removed["lost runs"] == 1
        elif what == "run":
            deletion(engine).delete_run(WORKFLOW, run.run_id, TEAM)
        else:
            deletion(engine).complete(WORKFLOW)
            if not first:
                deletion(engine).delete_workflow(WORKFLOW, TEAM)
        advance(commits, run, name)

    monkeypatch.setattr(Commits, "advance", deleting)
    with pytest.raises(Conflict, match="deleted while it was being published"):
        engine.publish_rows(ROWS, run="r")
    assert engine.keys("workflow=w/run=r/") == []
    if first or what == "workflow":
        assert engine.keys() == []
    else:
        assert engine.export_rows() == ROWS


def test_concurrent_deletions_and_publishes_leave_a_complete_workflow_or_none(
    tmp_path: Path, store: ObjectStore
) -> None:
    engine = Engine(tmp_path / "engine", store)
    engine.publish_rows(ROWS, run="first")
    engines = [Engine(tmp_path / str(number), store) for number in range(3)]

    def publish(number: int) -> None:
        try:
            engines[number].publish_rows(ROWS, run=f"r{number}")
        except Conflict:
            return

    def delete(run: str | None) -> None:
        try:
            if run is None:
                deletion(engine).delete_workflow(WORKFLOW, TEAM)
            else:
                deletion(engine).delete_run(WORKFLOW, run, TEAM)
        except NotFound:
            return

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(publish, number) for number in range(3)]
        running += [pool.submit(delete, run) for run in ("first", "r0", None, "r1", None)]
        for one in running:
            one.result()
    runs = {run.run_id for run in engine.results.runs(WORKFLOW)}
    left = {key.split("/")[1].removeprefix("run=") for key in engine.keys("workflow=w/run=")}
    assert left == runs
    assert bool(runs) <= (engine.results.workflow(WORKFLOW) is not None)
    if runs:
        assert engine.results.resolve(WORKFLOW, None, TEAM).run_id in runs
        assert engine.export_rows() == ROWS


DELETE = """
import os, sys
from pathlib import Path
from engine.exports.deletion import Deletion
from engine.stores import open_store
from tests.helpers.engine import TEAM, WORKFLOW, Engine
from tests.helpers.self_kill import SelfKill

dying = SelfKill(int(sys.argv[2])).wrap

store = open_store(sys.argv[3], connection_string=os.environ.get("AZURE_STORAGE_CONNECTION_STRING"))
for name in ("create", "replace", "delete"):
    setattr(type(store), name, dying(getattr(type(store), name)))
deletion = Deletion(Engine(Path(sys.argv[1]), store).results, store)
if sys.argv[4] == "run":
    deletion.delete_run(WORKFLOW, "new", TEAM)
else:
    deletion.delete_workflow(WORKFLOW, TEAM)
"""
"""A deletion that kills its process before the n-th change of the store."""


@pytest.mark.parametrize(
    ("store_kind", "what"),
    [("directory", "workflow"), pytest.param("azure", "run", marks=pytest.mark.azurite)],
    indirect=["store_kind"],
)
def test_a_sweep_completes_the_deletion_of_a_killed_process(
    tmp_path: Path, store_url: tuple[str, dict[str, str]], what: str
) -> None:
    location, extra = store_url
    deaths = range(1, 8 if what == "run" else 16)
    engines = []
    for death in deaths:
        store = open_store(f"{location}/{death}", connection_string=extra.get("AZURE_STORAGE_CONNECTION_STRING"))
        engine = Engine(tmp_path / str(death), store)
        for day, run in enumerate(("old", "new"), start=1):
            engine.publish_rows(ROWS, run=run, executed_at=datetime(2026, 11, day, tzinfo=UTC))
        engines.append(engine)
    exports = [[engine.export("csv", run=run) for run in ("old", "new")] for engine in engines]

    def delete(death: int) -> int:
        arguments = [str(tmp_path / str(death)), str(death), f"{location}/{death}", what]
        return start(arguments, {**os.environ, **extra}, tmp_path, program=DELETE).wait(120)

    with ThreadPoolExecutor(3) as pool:
        codes = [*pool.map(delete, deaths)]
    assert codes[0] == -signal.SIGKILL
    assert codes[-1] == 0, "the deaths cover a complete deletion"
    begun = []
    for code, engine, (old, new) in zip(codes, engines, exports, strict=True):
        assert code in (0, -signal.SIGKILL)
        try:
            latest = engine.results.resolve(WORKFLOW, None, TEAM).run_id
        except NotFound:
            latest = None
        begun.append(latest != "new")
        if latest == "new":
            assert engine.export_rows() == ROWS, "the deletion has not begun"
            continue
        # No reader sees half of it, although its process was killed.
        runs = [found.run_id for found in engine.results.runs(WORKFLOW)]
        assert (latest, runs) == (("old", ["old"]) if what == "run" else (None, []))
        sweep(engine)
        assert is_gone(engine, new), "none of its URLs opens"
        sweep(engine, ABANDONED_AFTER + timedelta(minutes=5))
        if what == "run":
            assert {key.split("/")[1] for key in engine.keys("workflow=w/run=")} == {"run=old"}
            workflow = engine.results.workflow(WORKFLOW)
            assert workflow is not None
            assert workflow.latest is not None
            assert workflow.latest.run_id == "old"
            assert engine.export_rows() == ROWS
        else:
            assert is_gone(engine, old)
            assert engine.keys("workflow=") == []
    assert begun == [False, *[True] * (len(codes) - 1)], begun


def test_a_sweep_retains_exports_of_an_unknown_results_store(tmp_path: Path, store: ObjectStore) -> None:
    """Runs that are missing because the results are elsewhere or not mounted were not deleted."""
    engine = Engine(tmp_path / "engine", store)
    engine.publish_rows(ROWS)
    exporter = engine.exporter(clock=lambda: datetime.now(UTC))
    export = engine.export("csv", exporter, filters=[entry("n", "EQUALS", 1)])
    for key in engine.keys("workflow="):
        engine.store.delete(key)
    assert sweep(engine).removed == {}
    assert engine.content(export)
