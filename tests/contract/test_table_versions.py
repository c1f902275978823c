"""The numbers of runs on every store: in the order of publishing, never used twice, and the latest one only grows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.catalog import table_versions as module
from engine.catalog.table_versions import VersionHistory, table_versions
from engine.errors import NotFound
from engine.exports.deletion import Deletion
from engine.stores import ObjectStore
from tests.helpers.engine import TEAM, WORKFLOW, Engine

ROWS = [{"n": 1}]


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore) -> Engine:
    return Engine(tmp_path, store)


def publish(engine: Engine, run: str, day: int) -> None:
    """Publish a run that was executed on that day."""
    engine.publish_rows(ROWS, run=run, executed_at=datetime(2026, 1, day, tzinfo=UTC))


def delete(engine: Engine, run: str) -> None:
    Deletion(engine.results, engine.store).delete_run(WORKFLOW, run, TEAM)


def numbers(engine: Engine) -> tuple[list[tuple[int, str]], int]:
    """The numbers with their runs, and that of the latest run."""
    history = history_of(engine)
    return [(number, one.run_id) for number, one in history.numbered][::-1], history.current


def history_of(engine: Engine) -> VersionHistory:
    latest = engine.results.resolve(WORKFLOW, None, TEAM).run_id
    return table_versions(engine.results, WORKFLOW, latest)


def test_runs_are_numbered_as_they_are_published(engine: Engine) -> None:
    publish(engine, "b", 1)
    publish(engine, "a", 2)
    assert numbers(engine) == ([(1, "b"), (2, "a")], 2)
    publish(engine, "c", 3)
    assert numbers(engine) == ([(1, "b"), (2, "a"), (3, "c")], 3)
    assert numbers(engine) == ([(1, "b"), (2, "a"), (3, "c")], 3), "asking changes nothing"


def test_a_run_that_is_not_the_latest_has_a_number(engine: Engine) -> None:
    publish(engine, "new", 9)
    publish(engine, "earlier", 1)
    assert numbers(engine) == ([(1, "new"), (2, "earlier")], 1)


def test_when_the_latest_run_is_deleted_the_number_grows(engine: Engine) -> None:
    for day, run in enumerate("abc", start=1):
        publish(engine, run, day)
    assert numbers(engine)[1] == 3
    delete(engine, "c")
    assert numbers(engine) == ([(1, "a"), (2, "b"), (3, "c"), (4, "b")], 4)
    publish(engine, "d", 9)
    assert numbers(engine)[1] == 5
    delete(engine, "a")
    assert numbers(engine)[1] == 5, "a deletion of another run changes nothing"


def test_a_run_that_is_published_again_gets_another_number(engine: Engine) -> None:
    publish(engine, "a", 1)
    publish(engine, "b", 2)
    assert numbers(engine)[1] == 2
    delete(engine, "b")
    publish(engine, "b", 2)
    assert numbers(engine) == ([(1, "a"), (2, "b"), (3, "b")], 3)


def test_a_workflow_that_is_published_again_is_numbered_from_one(engine: Engine) -> None:
    publish(engine, "a", 1)
    publish(engine, "b", 2)
    assert numbers(engine)[1] == 2
    Deletion(engine.results, engine.store).delete_workflow(WORKFLOW, TEAM)
    assert engine.keys("workflow=") == []
    publish(engine, "a", 1)
    assert numbers(engine) == ([(1, "a")], 1)


def test_a_latest_run_that_is_deleted_during_the_request_is_not_found(engine: Engine) -> None:
    publish(engine, "a", 1)
    with pytest.raises(NotFound, match="send it again"):
        table_versions(engine.results, WORKFLOW, "gone")


def test_old_numbers_are_dropped_and_never_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a directory, whose times are finer than the publishing of a run.
    engine = Engine(tmp_path)
    monkeypatch.setattr(module, "MAX_VERSIONS", 2)
    for day, run in enumerate("abc", start=1):
        publish(engine, run, day)
    assert numbers(engine) == ([(2, "b"), (3, "c")], 3)
    publish(engine, "d", 4)
    assert numbers(engine) == ([(3, "c"), (4, "d")], 4)
    assert numbers(engine) == ([(3, "c"), (4, "d")], 4), "the runs without a number stay without one"
    assert history_of(engine).number_of(history_of(engine).versions[0]) == 3
