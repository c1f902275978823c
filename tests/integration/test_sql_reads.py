"""A SQL session reads what its statements name; of the whole store, only what has changed since the last session."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import run_key, workflow_key
from engine.common.chunk import Chunk
from engine.errors import InvalidRequest, StoreUnavailable
from engine.query.inspect.document_index import index_path
from engine.query.inspect.session import Inspection, open_inspection
from engine.request.formats import FORMATS
from engine.stores import DirectoryStore, ObjectInfo
from tests.helpers.engine import Engine

ROWS = [{"id": "a", "n": 1}]


class RecordingStore(DirectoryStore):
    """A directory that notes which documents and parts are read, and what is listed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []

    def read(self, key: str, **options: Any) -> bytes:
        self.reads.append(key)
        return super().read(key, **options)

    def taken(self) -> Sequence[str]:
        """What was read since the last call, without parts, each once."""
        reads = sorted({key for key in self.reads if not key.endswith(".parquet")})
        self.reads.clear()
        return reads

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.reads.append(f"list {prefix}")
        return super().list(prefix)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Three workflows."""
    engine = Engine(tmp_path, RecordingStore(tmp_path / "store"))
    for workflow in ("jobs", "prices", "teams"):
        engine.publish_rows(ROWS, "r1", workflow=workflow, row_id="id")
    engine.publish_rows(ROWS, "r2", workflow="jobs", row_id="id")
    recording(engine).taken()
    return engine


def recording(engine: Engine) -> RecordingStore:
    assert isinstance(engine.store, RecordingStore)
    return engine.store


def ask(session: Inspection, query: str) -> Any:
    chunks: list[Chunk] = []
    session.write(query, FORMATS["json"], chunks.append)
    return json.loads(b"".join(chunks))


def test_a_statement_reads_the_documents_of_the_runs_that_it_names(engine: Engine) -> None:
    store, jobs = recording(engine), [workflow_key("jobs")]
    with open_inspection(engine.results, engine.store, engine.settings(1)) as session:
        for query, expected in (
            ("SELECT 1 AS one", []),
            ("DESCRIBE runs", []),
            ("SELECT n FROM result('jobs')", [*jobs, run_key("jobs", "r2")]),
            ("SELECT n FROM result('jobs')", []),
            ("FROM run_diff('jobs', 'r1', 'r2')", [*jobs, run_key("jobs", "r1")]),
            ("SELECT n FROM result('prices', 'r1')", [workflow_key("prices"), run_key("prices", "r1")]),
        ):
            ask(session, query)
            assert store.taken() == sorted(expected), query
        for query in ("FROM result('nope')", "FROM result('jobs', 'r9')", "FROM result('../jobs')"):
            with pytest.raises(InvalidRequest, match=r"^There is no finished run"):
                ask(session, query)
        assert {"list workflow=", run_key("teams", "r1")}.isdisjoint(store.taken())


@pytest.mark.parametrize("query", ["FROM runs", "FROM files", "FROM latest_runs"])
def test_the_next_session_reads_what_has_changed(engine: Engine, tmp_path: Path, query: str) -> None:
    store, index = recording(engine), tmp_path / "cache" / "index.sqlite"

    def answer() -> Any:
        with open_inspection(engine.results, None, engine.settings(1), index=lambda _: index) as session:
            rows = ask(session, query)
            assert ask(session, query) == rows
        return rows

    first = answer()
    assert len([key for key in store.taken() if key.endswith(".json")]) == 7
    assert (index.stat().st_mode & 0o777, index.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert answer() == first
    assert store.taken() == ["list workflow="]
    engine.publish_rows(ROWS, "r3", workflow="jobs", row_id="id")
    store.taken()
    second = answer()
    assert store.taken() == ["list workflow=", run_key("jobs", "r3"), workflow_key("jobs")]
    assert {row["run"] for row in second} - {row["run"] for row in first} == {"r3"}
    for key in engine.keys("workflow=prices/"):
        store.delete(key)
    store.taken()
    assert "prices" not in {row["workflow"] for row in answer()}
    assert store.taken() == ["list workflow="]


def test_an_index_that_cannot_be_used_is_replaced_or_left(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"this is no database" * 1000)
    for index in (broken, broken, tmp_path / "file" / "x.sqlite", None):
        with open_inspection(engine.results, None, engine.settings(1), index={"results": index}.get) as session:
            assert len(ask(session, "FROM runs")) == 4
    recording(engine).taken()
    with open_inspection(engine.results, None, engine.settings(1), index=lambda _: broken) as session:
        ask(session, "FROM runs")
    assert recording(engine).taken() == ["list workflow="]


def test_damage_is_reported_in_every_session_until_it_is_repaired(engine: Engine, tmp_path: Path) -> None:
    key = run_key("teams", "r1")
    path = tmp_path / "store" / key
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    (tmp_path / "store" / ".meta" / f"{key}.json").unlink()
    for _ in range(2):
        warnings: list[str] = []
        with open_inspection(
            engine.results, None, engine.settings(1), index=lambda _: tmp_path / "i.sqlite", warn=warnings.append
        ) as session:
            assert len(ask(session, "FROM runs")) == len(ask(session, "FROM files")) == 3
            with pytest.raises(InvalidRequest, match="There is no finished run"):
                ask(session, "FROM result('teams')")
        assert [warning.partition(" ")[0] for warning in warnings] == [key]
    path.write_bytes(content)
    with open_inspection(engine.results, None, engine.settings(1), index=lambda _: tmp_path / "i.sqlite") as session:
        assert len(ask(session, "FROM runs")) == 4


def test_a_store_that_fails_is_reported_as_such(engine: Engine) -> None:
    class Failing(RecordingStore):
        def list(self, prefix: str) -> Iterator[ObjectInfo]:
            raise StoreUnavailable(f"the list of {prefix} failed")

    with open_inspection(ResultStore(Failing(engine.folder / "store")), None, engine.settings(1)) as session:
        for query in ("FROM runs", "SELECT count(*) AS n FROM files"):
            with pytest.raises(StoreUnavailable, match="the list of workflow= failed"):
                ask(session, query)
        assert ask(session, "SELECT n FROM result('jobs')") == [{"n": 1}]


def test_the_index_is_in_the_folder_for_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    found = index_path("/data/results")
    assert found is not None
    assert found.parent == tmp_path / "caches" / "tailrace"
    assert found != index_path("/data/other")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    at_home = index_path("/data/results")
    assert at_home is not None
    assert at_home.parent == tmp_path / "home" / ".cache" / "tailrace"
    monkeypatch.delenv("HOME")
    assert index_path("/data/results") is None


def test_views_have_all_rows_ordered_by_workflow_and_run(engine: Engine) -> None:
    # More rows than a view has files, and ids whose keys have another order: "jobs-0/" is before "jobs/".
    names = [f"c{number:03}" for number in range(100)]
    engine.publish_rows([dict.fromkeys(names, "x" * 100)], "wide", workflow="jobs-0")
    expected = [("jobs", "r1", "id"), ("jobs", "r1", "n"), ("jobs", "r2", "id"), ("jobs", "r2", "n")]
    expected += [("jobs-0", "wide", name) for name in names]
    expected += [(workflow, "r1", name) for workflow in ("prices", "teams") for name in ("id", "n")]
    with open_inspection(engine.results, None, engine.settings(2)) as session:
        rows = ask(session, "SELECT * FROM columns WHERE name <> '_row_id'")
        assert [(row["workflow"], row["run"], row["name"]) for row in rows] == expected
        runs = [("jobs", "r1"), ("jobs", "r2"), ("jobs-0", "wide"), ("prices", "r1"), ("teams", "r1")]
        assert [(row["workflow"], row["run"]) for row in ask(session, "FROM files")] == runs
        [wide] = [row for row in ask(session, "FROM files") if row["workflow"] == "jobs-0"]
        assert {name: wide["bounds"][name]["nulls"] for name in names} == dict.fromkeys(names, 0)
