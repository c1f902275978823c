"""Concurrent publishers, publishers of two teams, and publishers that are killed."""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.catalog.catalog import ResultStore
from engine.catalog.commits import Commits
from engine.catalog.manifest import Run
from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, Conflict, InvalidInput, NotFound, StoreUnavailable
from engine.publishing.publisher import Publication, Publisher
from engine.stores import ObjectStore, open_store
from tests.helpers.engine import NOW, TEAM, WORKFLOW, Engine
from tests.helpers.forks import Forked, start
from tests.helpers.stores import any_store

PUBLISH = """
import os, sys
from pathlib import Path
import engine.stores.block_stream
from engine.stores import open_store
from tests.helpers.engine import Engine
from tests.helpers.self_kill import SelfKill

engine.stores.block_stream.BLOCK_TIERS = ((50_000, 1_500),)
dying = SelfKill(int(sys.argv[2])).wrap

store = open_store(sys.argv[4], connection_string=os.environ.get("AZURE_STORAGE_CONNECTION_STRING"))
kind = type(store)
begin = kind.begin

def begin_dying(self, key, **named):
    upload = begin(self, key, **named)
    upload.stage, upload.commit = dying(upload.stage), dying(upload.commit)
    return upload

kind.begin = begin_dying
for name in ("create", "replace", "begin"):
    setattr(kind, name, dying(getattr(kind, name)))

folder = Path(sys.argv[1])
Engine(folder, store).publish(folder / "rows.json", run=sys.argv[3])
"""
"""A publisher that kills its process before the n-th change of the store."""


StoreUrl = tuple[str, dict[str, str]]
"""A location, and the environment variables that a process needs to open it."""


def _publisher(store_url: StoreUrl, folder: Path, death: int, run: str = "r") -> Forked:
    location, extra = store_url
    return start([str(folder), str(death), run, location], {**os.environ, **extra}, folder, program=PUBLISH)


def _opened(store_url: StoreUrl) -> ObjectStore:
    location, extra = store_url
    return open_store(location, connection_string=extra.get("AZURE_STORAGE_CONNECTION_STRING"))


@any_store
def test_a_killed_publisher_leaves_nothing_visible_and_nothing_that_blocks_the_next(
    tmp_path: Path, store_url: StoreUrl
) -> None:
    """It is killed before every change of the store, from the first to the last."""
    rows = [{"n": n, "text": f"{n * n} {n * 7919}"} for n in range(200)]
    urls = {death: (f"{store_url[0]}/{death}", store_url[1]) for death in range(1, 12)}
    engines = [Engine(tmp_path / str(death), _opened(url)) for death, url in urls.items()]
    for engine in engines:
        engine.write_json(rows)
    reached = []
    with ThreadPoolExecutor(len(engines)) as pool:
        dead = [pool.submit(_publisher(urls[n], engine.folder, n).wait, 60) for n, engine in enumerate(engines, 1)]
        codes = [one.result() for one in dead]
    for code, engine in zip(codes, engines, strict=True):
        if code == 0:
            assert engine.export_rows() == rows
            continue
        assert code == -signal.SIGKILL
        assert engine.results.workflow(WORKFLOW) is None, "the first run creates the workflow"
        assert list(engine.results.workflows()) == []
        manifest = engine.results.run(WORKFLOW, "r")
        reached.append((len(engine.keys()), manifest is not None))
        with pytest.raises(NotFound):
            engine.results.resolve(WORKFLOW, None, TEAM)
        if manifest is None:
            engine.publish(engine.folder / "rows.json")
        else:
            # Killed between the manifest and the workflow: publishing again completes it.
            with pytest.raises(Conflict):
                engine.publish(engine.folder / "rows.json")
        assert engine.export_rows() == rows
    assert (0, False) in reached, "one was killed before it wrote anything"
    assert (1, False) in reached, "one was killed between the parts and the manifest"
    assert reached[-1] == (2, True), "one was killed between the manifest and the workflow"
    assert codes[-1] == 0, "the deaths cover a complete publish"


def test_several_processes_publish_into_one_workflow(tmp_path: Path, store_url: StoreUrl) -> None:
    engine = Engine(tmp_path, _opened(store_url))
    engine.write_json([{"n": 1}])
    runs = [f"r{index}" for index in range(4)]
    processes = [_publisher(store_url, tmp_path, 0, run) for run in runs]
    assert [process.wait(60) for process in processes] == [0] * len(runs)
    published = {run.run_id: run.published_at for run in engine.results.runs(WORKFLOW)}
    assert set(published) == set(runs)
    assert engine.results.resolve(WORKFLOW, None, TEAM).run_id == max(published, key=lambda run: published[run])


def test_concurrent_publishers_of_different_runs_lose_nothing(tmp_path: Path, store: ObjectStore) -> None:
    engine = Engine(tmp_path, store)
    ages = [3, 1, 0, 2]

    def publish(age: int) -> None:
        engine.publish_rows([{"age": age}], run=f"age-{age}", executed_at=NOW - timedelta(days=age))

    assert _run_concurrently([lambda age=age: publish(age) for age in ages]) == [None] * 4  # type: ignore[misc]
    assert [run.run_id for run in engine.results.runs(WORKFLOW)] == [f"age-{age}" for age in sorted(ages)]
    assert engine.results.resolve(WORKFLOW, None, TEAM).run_id == "age-0"
    assert engine.export_rows() == [{"age": 0}]


def test_one_of_several_publishers_of_a_run_wins(tmp_path: Path, store: ObjectStore) -> None:
    engines = [Engine(tmp_path / str(index), store) for index in range(3)]
    results = _run_concurrently([lambda e=e, n=n: e.publish_rows([{"n": n}]) for n, e in enumerate(engines)])  # type: ignore[misc]
    winner = [index for index, result in enumerate(results) if result is None]
    assert len(winner) == 1
    assert all(isinstance(result, Conflict) for result in results if result is not None)
    assert engines[0].export_rows() == [{"n": winner[0]}]
    assert len(engines[0].keys("workflow=w/run=r/")) == 2, "the parts of the losers are gone"


def test_a_published_run_cannot_be_published_again(tmp_path: Path, store: ObjectStore) -> None:
    engine = Engine(tmp_path, store)
    engine.publish_rows([{"n": 1}])
    before = engine.keys()
    with pytest.raises(Conflict, match="published already"):
        engine.publish_rows([{"n": 2}])
    assert engine.keys() == before
    assert engine.export_rows() == [{"n": 1}]


def test_a_workflow_of_another_team_is_a_conflict_to_publish_and_not_found_to_read(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.publish_rows([{"n": 1}])
    with pytest.raises(Conflict, match="another team"):
        engine.publish_rows([{"n": 2}], run="r2", team="rival")
    with pytest.raises(NotFound) as theirs:
        engine.results.resolve(WORKFLOW, "r", "rival")
    with pytest.raises(NotFound) as missing:
        engine.results.resolve("other", "r", "rival")
    assert theirs.value.message == missing.value.message


def test_a_refused_file_does_not_reserve_the_run_id(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    with pytest.raises(InvalidInput):
        engine.publish(engine.write("rows.json", "["))
    engine.publish_rows([{"n": 1}])
    assert engine.export_rows() == [{"n": 1}]


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("suffix", [".parquet", "run.json"])
def test_a_failing_store_leaves_nothing_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, local: bool
) -> None:
    engine = Engine(tmp_path)
    create = engine.store.create

    def failing(key: str, data: bytes, **named: object) -> object:
        if key.endswith(suffix):
            raise StoreUnavailable("gone")
        return create(key, data, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(engine.store, "create", failing)
    if not local:
        monkeypatch.setattr(engine.store, "local_path", lambda key: None)
    with pytest.raises(StoreUnavailable):
        engine.publish_rows([{"n": 1}])
    # A remote store may have written the manifest and lost the answer, so its part remains for the sweep, invisible.
    left = engine.keys()
    parts = [key for key in left if key.endswith(".parquet")]
    assert left == parts
    assert len(parts) == (suffix == "run.json" and not local)
    monkeypatch.undo()
    engine.publish_rows([{"n": 1}])
    assert engine.export_rows() == [{"n": 1}]


@pytest.mark.parametrize("method", ["create", "replace"])
def test_a_run_whose_publisher_failed_after_the_manifest_retains_its_parts(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The response to the manifest is lost, or the workflow cannot be updated."""
    engine = Engine(tmp_path / "engine", store)
    if method == "replace":
        engine.publish_rows([{"n": 0}], run="older")
    write = getattr(store, method)
    lost = "run.json" if method == "create" else "workflow.json"

    def failing(key: str, data: bytes, **named: object) -> object:
        done = write(key, data, **named) if method == "create" else None
        if key.endswith(lost):
            raise StoreUnavailable("gone")
        return done

    monkeypatch.setattr(store, method, failing)
    with pytest.raises(StoreUnavailable):
        engine.publish_rows([{"n": 1}])
    monkeypatch.undo()
    with pytest.raises(Conflict):
        engine.publish_rows([{"n": 1}])
    assert engine.export_rows() == [{"n": 1}]


LEAVES_NOTHING = {
    "a missing file": ("no-such-file.json", InvalidInput),
    "a file that cannot be read": ("broken.json", InvalidInput),
    "an unknown row id field": ("rows.json", InvalidInput),
}


@any_store
@pytest.mark.parametrize("name", LEAVES_NOTHING)
def test_a_failed_publish_leaves_no_workflow(tmp_path: Path, store: ObjectStore, name: str) -> None:
    engine = Engine(tmp_path / "engine", store)
    engine.write("broken.json", "[")
    engine.write_json([{"n": 1}])
    file, error = LEAVES_NOTHING[name]
    with pytest.raises(error):
        engine.publish(engine.folder / file, row_id="other" if "row id" in name else None)
    assert engine.keys() == []
    assert list((engine.folder / "spill").glob("*")) == []
    # Another team may create the workflow.
    engine.publish_rows([{"n": 2}], team="rival")


def test_a_cancelled_publish_leaves_nothing(tmp_path: Path, store: ObjectStore) -> None:
    """It is cancelled before each call of the store; the token is last checked before the manifest is written."""
    outcomes = []
    for number in range(8):
        engine = Engine(tmp_path / str(number), store)
        workflow, cancel, left = f"w{number}", CancelToken(), iter(range(number, -100, -1))
        counting = _Counting(store, lambda left=left, cancel=cancel: next(left) == 0 and cancel.cancel())  # type: ignore[misc]
        publisher = Publisher(ResultStore(counting), engine.settings(1))
        file = engine.write_json([{"n": n} for n in range(3)])
        try:
            publisher.publish(Publication(workflow, "r", (file,), team=TEAM, row_id="n"), cancel)
        except Cancelled:
            assert engine.keys(f"workflow={workflow}/") == []
            outcomes.append("nothing")
        else:
            assert engine.results.resolve(workflow, None, TEAM).rows == 3
            outcomes.append("whole")
        assert list((engine.folder / "spill").glob("*")) == []
    assert set(outcomes) == {"nothing", "whole"}, outcomes


class _Counting:
    """A store that calls ``before`` before each of its methods."""

    def __init__(self, store: ObjectStore, before: Callable[[], object]) -> None:
        self._store, self._before = store, before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self._before()
            return found(*arguments, **named)

        return call


def test_one_of_two_teams_that_create_a_workflow_wins(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All have written their manifests before any writes the workflow."""
    teams = ["red", "green", "blue"]
    barrier = threading.Barrier(len(teams))
    advance = Commits.advance

    def together(commits: Commits, run: Run, name: str) -> None:
        barrier.wait(60)
        advance(commits, run, name)

    monkeypatch.setattr(Commits, "advance", together)
    engines = {team: Engine(tmp_path / team, store) for team in teams}
    results = _run_concurrently(
        [lambda t=t, e=e: e.publish_rows([{"team": t}], run=f"r-{t}", team=t) for t, e in engines.items()]  # type: ignore[misc]
    )
    (winner,) = [team for team, result in zip(teams, results, strict=True) if result is None]
    assert all(isinstance(result, Conflict) for result in results if result is not None)
    engine = engines[winner]
    assert engine.results.resolve(WORKFLOW, None, winner).run_id == f"r-{winner}"
    keys = engine.keys()
    assert len(keys) == 3, keys
    assert all(key == "workflow=w/workflow.json" or key.startswith(f"workflow=w/run=r-{winner}/") for key in keys)


def test_a_manifest_of_a_killed_losing_publisher_is_invisible(tmp_path: Path, store: ObjectStore) -> None:
    """It was killed after its manifest, before it learned that the workflow belongs to another team."""
    engine = Engine(tmp_path / "engine", store)
    engine.publish_rows([{"n": 1}], run="lost", team="rival")
    workflow = "workflow=w/workflow.json"
    assert store.delete(workflow)
    with pytest.raises(Conflict, match="being published by another team"):
        engine.publish_rows([{"n": 2}], run="lost")
    engine.publish_rows([{"n": 2}], run="won")
    assert [run.run_id for run in engine.results.runs(WORKFLOW)] == ["won"]
    assert [run.run_id for run in engine.results.newest_runs(WORKFLOW, 9)[0]] == ["won"]
    for team in (TEAM, "rival"):
        with pytest.raises(NotFound):
            engine.results.resolve(WORKFLOW, "lost", team)
    # The owner of the workflow can use the run id, and no part of the other run is left.
    engine.publish_rows([{"n": 3}], run="lost")
    assert engine.export_rows(run="lost") == [{"n": 3}]
    assert len(engine.keys("workflow=w/run=lost/")) == 2


def test_a_run_without_a_workflow_belongs_to_its_publisher_for_a_while(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(tmp_path / "engine", store)
    engine.publish_rows([{"n": 1}], team="rival")
    assert store.delete("workflow=w/workflow.json")
    monkeypatch.setattr("engine.catalog.commits._MAX_COMMIT_TIME", timedelta(0))
    engine.publish_rows([{"n": 2}])
    assert engine.export_rows() == [{"n": 2}]
    assert len(engine.keys("workflow=w/run=r/")) == 2


def test_a_slow_publisher_whose_manifest_was_removed_gives_up(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It paused between its manifest and the workflow until another team had published the run."""
    advance = Commits.advance
    engine, other = Engine(tmp_path / "slow", store), Engine(tmp_path / "other", store)

    def slow(commits: Commits, run: Run, name: str) -> None:
        monkeypatch.setattr(Commits, "advance", advance)
        monkeypatch.setattr("engine.catalog.commits._MAX_COMMIT_TIME", timedelta(0))
        other.publish_rows([{"n": 2}], team="rival")
        advance(commits, run, name)

    monkeypatch.setattr(Commits, "advance", slow)
    with pytest.raises(Conflict):
        engine.publish_rows([{"n": 1}])
    assert engine.results.resolve(WORKFLOW, None, "rival").rows == 1
    assert len(engine.keys()) == 3


def _run_concurrently(actions: list[Callable[[], object]]) -> list[BaseException | None]:
    """Run the actions in threads that start together; returns the exception of each."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> None:
        barrier.wait()
        action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.exception() for future in [pool.submit(run, action) for action in actions]]
