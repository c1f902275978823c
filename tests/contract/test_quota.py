"""The quota of a team's finished exports, on both stores."""

from pathlib import Path
from typing import Any

import pytest

from engine.catalog.manifest import Workflow, workflow_key
from engine.common.cancellation import CancelToken
from engine.errors import QuotaExceeded
from engine.exports.export import Export, export_key
from engine.exports.exporter import Exporter
from engine.exports.quota import TeamQuota
from engine.stores.port import ObjectStore
from tests.helpers.engine import Engine


def _exporter(engine: Engine, limit: int) -> Exporter:
    quota = TeamQuota(engine.results, engine.store, limit)
    return Exporter(engine.results, engine.store, engine.settings(1), quota=quota)


def _export(engine: Engine, exporter: Exporter, **asked: Any) -> Export:
    return exporter.export(engine.plan(exporter, "csv", **asked), CancelToken())


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore) -> Engine:
    engine = Engine(tmp_path / "engine", store)
    engine.publish_rows([{"n": n} for n in range(10)])
    return engine


def test_the_quota_can_be_filled_exactly(engine: Engine) -> None:
    size = _export(engine, _exporter(engine, 10**9)).size
    second = _exporter(engine, 2 * size)
    other = _export(engine, second, sort_by="n")
    assert other.size == size
    with pytest.raises(QuotaExceeded, match=f"take {2 * size} of {2 * size} bytes") as caught:
        _export(engine, second, sort_by="n", descending=True)
    assert caught.value.details == {"limit": 2 * size, "used": 2 * size}
    # An existing export is returned, and deleting it frees its bytes.
    assert _export(engine, second, sort_by="n") == other
    assert engine.store.delete(export_key(other.workflow_id, other.export_id, other.format))
    assert _export(engine, second, sort_by="n", descending=True).size == size


def test_an_export_beyond_the_quota_leaves_nothing(engine: Engine) -> None:
    size = _export(engine, _exporter(engine, 10**9)).size
    before = [info.key for info in engine.store.list("")]
    with pytest.raises(QuotaExceeded, match=f"this one needs {size}"):
        _export(engine, _exporter(engine, 2 * size - 1), sort_by="n")
    assert [info.key for info in engine.store.list("")] == before


def test_files_of_other_teams_and_other_files_do_not_count(engine: Engine) -> None:
    size = _export(engine, _exporter(engine, 10**9)).size
    theirs = Workflow(workflow_id="theirs", team="rival", name="Theirs")
    engine.results.workflow_documents.create(workflow_key("theirs"), theirs)
    for key in (
        "theirs/0c5efbcd-8f6d-8b3e-9a5b-2f6a3f0a7a11.csv",
        "nobody/0c5efbcd-8f6d-8b3e-9a5b-2f6a3f0a7a11.csv",
        "w/0c5efbcd-8f6d-8b3e-9a5b-2f6a3f0a7a11.csv.lease.json",
        "w/notes.csv",
    ):
        engine.store.create(key, b"x" * 10_000, content_type="text/csv", metadata={})
    assert _export(engine, _exporter(engine, 2 * size), sort_by="n").size == size


def test_a_damaged_workflow_does_not_stop_other_teams(engine: Engine) -> None:
    engine.store.create("workflow=broken/workflow.json", b"{", content_type="application/json", metadata={})
    engine.store.create("broken/0c5efbcd-8f6d-8b3e-9a5b-2f6a3f0a7a11.csv", b"x", content_type="text/csv", metadata={})
    assert _export(engine, _exporter(engine, 10_000)).rows == 10
