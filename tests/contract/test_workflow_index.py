"""The index of a team's workflows, on both stores: complete whatever happens, and lists read no more than they show."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Workflow, workflow_key
from engine.catalog.removal import Removal
from engine.errors import AlreadyPublished, StoreUnavailable
from engine.exports.deletion import Deletion
from engine.exports.sweep import Sweeper
from engine.exports.verify import verify_results
from engine.stores import ObjectStore
from tests.helpers.engine import TEAM, Engine

RIVAL = "rival"
INDEX = f"team={TEAM}/workflows.json"


class CountingStore:
    """A store that counts the calls of each method."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._store, name)


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore) -> Engine:
    return Engine(tmp_path / "engine", store)


def put(store: ObjectStore, workflow_id: str, team: str = TEAM) -> None:
    """Write a workflow as a version without indexes did, and as a restored copy appears."""
    document = Workflow(workflow_id=workflow_id, team=team, name=workflow_id)
    store.create(workflow_key(workflow_id), document.encode(), content_type="application/json", metadata={})


def publish(engine: Engine, workflow_id: str, team: str = TEAM) -> None:
    engine.publish_rows([{"n": 1}], run=f"r-{workflow_id}", workflow=workflow_id, team=team)


def listed(store: ObjectStore, team: str = TEAM) -> list[str]:
    """The ids in a list of all workflows, from a process that has seen nothing yet."""
    page, count = ResultStore(store).workflows_of(team, 0, 1000)
    assert count == len(page)
    return [workflow.workflow_id for workflow in page]


def sweep(engine: Engine) -> None:
    Sweeper(engine.results, engine.store, engine.folder / "none", now=datetime.now(UTC)).sweep()


def test_a_list_reads_the_documents_that_it_shows_and_no_others(engine: Engine) -> None:
    for number in range(30):
        put(engine.store, f"w-{number:02d}", TEAM if number % 3 else RIVAL)
    own = [f"w-{number:02d}" for number in range(30) if number % 3]
    assert listed(engine.store) == own
    counting = CountingStore(engine.store)
    page, count = ResultStore(counting).workflows_of(TEAM, 5, 4)
    assert ([workflow.workflow_id for workflow in page], count) == (own[5:9], len(own))
    # The index and four documents.
    assert counting.calls == {"read": 5}
    # Names are in the index, too.
    page, count = ResultStore(counting).workflows_of(TEAM, 0, 2, "w-2")
    assert ([workflow.workflow_id for workflow in page], count) == (["w-20", "w-22"], 7)
    assert counting.calls == {"read": 8}
    assert ResultStore(counting).workflows_of(TEAM, 0, 0) == ([], len(own))
    assert ResultStore(counting).workflows_of(TEAM, 10**15, 25) == ([], len(own))


def test_publishing_and_deleting_update_the_index_of_each_team(engine: Engine) -> None:
    assert (listed(engine.store), listed(engine.store, RIVAL)) == ([], [])
    for workflow_id, team in (("b", TEAM), ("a", TEAM), ("a-b", TEAM), ("c", RIVAL)):
        publish(engine, workflow_id, team)
    assert (listed(engine.store), listed(engine.store, RIVAL)) == (["a", "a-b", "b"], ["c"])
    engine.publish_rows([{"n": 2}], run="second", workflow="a")
    Deletion(engine.results, engine.store).delete_workflow("b", TEAM)
    publish(engine, "b", RIVAL)
    assert (listed(engine.store), listed(engine.store, RIVAL)) == (["a", "a-b"], ["b", "c"])


def test_workflows_without_an_index_are_listed(engine: Engine) -> None:
    put(engine.store, "old")
    publish(engine, "new")
    assert engine.store.head(INDEX) is None
    assert listed(engine.store) == ["new", "old"]
    assert engine.store.head(INDEX) is not None


def test_a_damaged_index_is_rebuilt(engine: Engine) -> None:
    publish(engine, "a")
    assert listed(engine.store) == ["a"]
    for damage in (b"", b"[]", b'{"formatVersion": 2}', b'{"team": "rival", "names": {"theirs": "x"}}'):
        info = engine.store.head(INDEX)
        assert info is not None
        engine.store.replace(INDEX, damage, etag=info.etag)
        assert listed(engine.store) == ["a"]


@pytest.mark.parametrize("lost", ["the index", "the workflow"])
def test_a_publisher_that_fails_leaves_nothing_in_lists_and_nothing_out_of_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    publish(engine, "a")
    assert listed(engine.store) == ["a"]
    failing = INDEX if lost == "the index" else workflow_key("b")

    def fail(method: str) -> None:
        real = getattr(engine.store, method)

        def called(key: str, *arguments: Any, **options: Any) -> Any:
            if key == failing:
                raise StoreUnavailable("gone")
            return real(key, *arguments, **options)

        monkeypatch.setattr(engine.store, method, called)

    fail("create")
    fail("replace")
    with pytest.raises(StoreUnavailable):
        publish(engine, "b")
    monkeypatch.undo()
    page, _ = ResultStore(engine.store).workflows_of(TEAM, 0, 1000)
    assert [workflow.workflow_id for workflow in page] == ["a"]
    sweep(engine)
    assert listed(engine.store) == ["a"]
    # As the publisher was told to.
    with pytest.raises(AlreadyPublished):
        publish(engine, "b")
    assert listed(engine.store) == ["a", "b"]


def test_a_sweep_adds_missing_entries_and_removes_superfluous_ones(engine: Engine) -> None:
    publish(engine, "a")
    publish(engine, "gone")
    assert listed(engine.store) == ["a", "gone"]
    put(engine.store, "restored")
    put(engine.store, "theirs", RIVAL)
    engine.store.delete(workflow_key("gone"))
    sweep(engine)
    assert (listed(engine.store), listed(engine.store, RIVAL)) == (["a", "restored"], ["theirs"])


@pytest.mark.parametrize("indexed", [False, True])
def test_a_workflow_whose_document_was_damaged_during_a_rebuild_is_listed_when_it_is_restored(
    engine: Engine, indexed: bool
) -> None:
    publish(engine, "a")
    publish(engine, "b")
    if indexed:
        assert listed(engine.store) == ["a", "b"]
    key = workflow_key("b")
    whole = engine.store.read(key)
    for content in (b"{}", whole):
        info = engine.store.head(key)
        assert info is not None
        engine.store.replace(key, content, etag=info.etag)
        sweep(engine)
        page, _ = ResultStore(engine.store).workflows_of(TEAM, 0, 1000)
        assert [workflow.workflow_id for workflow in page] == (["a", "b"] if content == whole else ["a"])


def test_a_sweep_that_only_counts_writes_no_index(engine: Engine) -> None:
    publish(engine, "a")
    Sweeper(engine.results, engine.store, engine.folder / "none", now=datetime.now(UTC), dry_run=True).sweep()
    assert engine.keys("team=") == []


@pytest.mark.parametrize("indexed", [False, True])
def test_a_workflow_that_is_published_during_a_rebuild_is_listed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    publish(engine, "a")
    if indexed:
        assert listed(engine.store) == ["a"]
    results = ResultStore(engine.store)
    real, names = results.workflow_ids, iter("bcd")

    def list_ids() -> list[str]:
        found = real()
        publish(engine, next(names))
        return found

    monkeypatch.setattr(results.index, "_list_ids", list_ids)
    if indexed:
        results.index.rebuild()
    else:
        results.index.names(TEAM)
    # One after the first list of the names, one after the second, when the index was there.
    assert listed(engine.store) == ["a", "b", "c"]


def test_a_workflow_that_is_deleted_and_published_again_during_a_rebuild_is_listed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(engine, "a")
    publish(engine, "b")
    assert listed(engine.store) == ["a", "b"]
    Removal(engine.results).mark_deleted("b", TEAM)
    index = ResultStore(engine.store).index
    real, scans = index._scan, iter(range(9))

    def scan(workflow_ids: list[str]) -> Any:
        found = real(workflow_ids)
        if next(scans) == 0:
            Removal(engine.results).remove_marked_workflow("b")
            publish(engine, "b")
        return found

    monkeypatch.setattr(index, "_scan", scan)
    index.rebuild()
    assert listed(engine.store) == ["a", "b"]


def test_verification_reports_an_index_that_lacks_workflows(engine: Engine) -> None:
    publish(engine, "a")
    # The first list makes the index.
    assert list(engine.results.index.missing()) == []
    assert listed(engine.store) == ["a"]
    assert all(one.problem is None for one in verify_results(engine.results))
    put(engine.store, "lost")
    (wrong,) = [one for one in verify_results(engine.results) if one.problem is not None]
    assert wrong.key == INDEX
    assert "lacks workflows (lost); `tailrace sweep`" in str(wrong.problem)
    info = engine.store.head(INDEX)
    assert info is not None
    engine.store.replace(INDEX, b"", etag=info.etag)
    assert [one.key for one in verify_results(engine.results) if one.problem is not None] == [INDEX]
    sweep(engine)
    assert all(one.problem is None for one in verify_results(engine.results))


def test_the_workflows_after_one_are_read_while_they_are_taken(engine: Engine) -> None:
    own = [f"w-{number:02d}" for number in range(40)]
    for workflow_id in own:
        put(engine.store, workflow_id)
    assert listed(engine.store) == own
    counting = CountingStore(engine.store)
    found = ResultStore(counting).workflows_after(TEAM, "w-01")
    assert [next(found).workflow_id for _ in range(4)] == own[2:6]
    # The index, these four, and the reads ahead of them.
    assert 5 <= counting.calls["read"] <= 5 + 16
    assert [workflow.workflow_id for workflow in found] == own[6:]
    assert list(ResultStore(counting).workflows_after(RIVAL, "")) == []


def test_no_workflow_of_concurrent_publishers_is_lost(engine: Engine) -> None:
    assert listed(engine.store) == []
    ids = [f"w-{number}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        for _ in pool.map(lambda workflow_id: publish(engine, workflow_id), ids):
            pass
    assert listed(engine.store) == sorted(ids)


def test_workflows_of_a_read_only_store_are_listed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(engine, "a")

    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("read-only")

    monkeypatch.setattr(engine.store, "create", refuse)
    assert listed(engine.store) == ["a"]
