"""Every view and macro of ``sql/`` against plain Python rows, on both kinds of store."""

import json
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.catalog.manifest import State
from engine.common.chunk import Chunk
from engine.errors import InvalidRequest, SourceDamaged
from engine.query.inspect.session import Inspection, open_inspection
from engine.request.formats import FORMATS
from engine.stores import ObjectStore
from tests.helpers.engine import TEAM, Engine
from tests.helpers.files import Row
from tests.helpers.stores import any_store

OLD: list[dict[str, Any]] = [
    {"id": "a", "title": "Clerk", "salary": 100, "workflow": "mine", "run": 1},
    {"id": "b", "title": 'O\'Neil "B"', "salary": None, "workflow": "mine", "run": 2},
    {"id": "c", "title": "急須", "salary": 300, "workflow": "mine", "run": 3},
]
NEW: list[dict[str, Any]] = [
    {"id": "a", "title": "Clerk", "salary": 100, "workflow": "mine", "run": 1},
    {"id": "b", "title": 'O\'Neil "B"', "salary": 9, "workflow": "mine", "run": 2},
    {"id": "d", "title": None, "salary": 10, "workflow": "mine", "run": 4},
    {"id": "e", "title": "", "salary": 2, "workflow": "mine", "run": 5},
]
FAILED: list[dict[str, Any]] = [{"sku": "x"}]
EXECUTED = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, module_store: ObjectStore) -> Engine:
    """Two workflows and three runs, one of which failed; an export; and a file that no manifest names."""
    engine = Engine(tmp_path_factory.mktemp("engine"), module_store)
    engine.publish_rows(OLD, "2026-11-22", workflow="jobs", row_id="id", name="Jobs", executed_at=EXECUTED)
    engine.publish_rows(NEW, "2026-11-23", workflow="jobs", row_id="id")
    engine.publish_rows(FAILED, "2026-11-24", workflow="prices", team="rival", state=State.FAILED)
    stray = engine.write("stray.parquet", b"PAR1 this is no Parquet file PAR1").read_bytes()
    module_store.create("workflow=jobs/run=2026-11-23/part-00001-dead.parquet", stray, content_type="x", metadata={})
    engine.export("csv", workflow="jobs")
    return engine


@pytest.fixture(scope="module")
def inspection(engine: Engine) -> Iterator[Inspection]:
    """A session over those."""
    with open_inspection(engine.results, engine.store, engine.settings(2)) as inspection:
        yield inspection


def ask(inspection: Inspection, query: str) -> Any:
    """The rows of an answer, by way of JSON."""
    chunks: list[Chunk] = []
    inspection.write(query, FORMATS["json"], chunks.append)
    return json.loads(b"".join(chunks))


def published(rows: list[dict[str, Any]]) -> list[Row]:
    return [{"_row_id": row["id"], **row} for row in rows]


def in_main(inspection: Inspection) -> set[str]:
    """What a user finds without the schema of the engine."""
    found = ask(
        inspection,
        "SELECT view_name AS name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main' UNION ALL "
        "SELECT function_name FROM duckdb_functions() WHERE NOT internal AND schema_name = 'main'",
    )
    return {row["name"] for row in found}


def test_results(inspection: Inspection) -> None:
    assert ask(inspection, "FROM result('jobs')") == published(NEW)
    assert ask(inspection, "FROM result('jobs', '2026-11-22')") == published(OLD)
    assert ask(inspection, "FROM result('jobs', run := '2026-11-23');") == published(NEW)
    joined = "SELECT n.id FROM result('jobs') n JOIN result('jobs', '2026-11-22') o USING (id) ORDER BY id DESC"
    assert ask(inspection, joined) == [{"id": "b"}, {"id": "a"}]


@any_store
def test_runs(inspection: Inspection, engine: Engine) -> None:
    found = {row["run"]: row for row in ask(inspection, "FROM runs")}
    assert list(found) == ["2026-11-24", "2026-11-23", "2026-11-22"]
    for run, team, state, latest, count in (
        ("2026-11-22", TEAM, "FINISHED", False, 3),
        ("2026-11-23", TEAM, "FINISHED", True, 4),
        ("2026-11-24", "rival", "FAILED", False, 1),
    ):
        row = found[run]
        manifest = engine.results.run(row["workflow"], run)
        assert manifest is not None
        assert (row["team"], row["state"], row["latest"], row["rows"]) == (team, state, latest, count)
        assert (row["files"], row["bytes"]) == (1, manifest.parts[0].bytes)
        assert datetime.fromisoformat(row["published_at"]) == manifest.published_at
    assert found["2026-11-22"]["executed_at"] == "2026-11-22T08:00:00Z"


@any_store
def test_latest_runs(inspection: Inspection) -> None:
    found = ask(inspection, "SELECT workflow, name, team, run, rows FROM latest_runs")
    assert found == [{"workflow": "jobs", "name": "Jobs", "team": TEAM, "run": "2026-11-23", "rows": 4}]


def test_files(inspection: Inspection) -> None:
    found = ask(inspection, "SELECT *, bounds['salary'] AS salary, bounds['title'] AS title FROM files")
    assert [(row["run"], row["rows"], row["row_groups"]) for row in found] == [
        ("2026-11-22", 3, 1),
        ("2026-11-23", 4, 1),
        ("2026-11-24", 1, 1),
    ]
    assert all(row["file"].startswith("part-00000-") and row["bytes"] > 100 for row in found)
    assert found[0]["salary"] == {"minimum": "100", "maximum": "300", "exact": True, "nulls": 1}
    assert found[1]["salary"] == {"minimum": "2", "maximum": "100", "exact": True, "nulls": 0}
    assert found[1]["title"] == {"minimum": "", "maximum": 'O\'Neil "B"', "exact": True, "nulls": 1}


@any_store
def test_bounds_that_are_cut_are_not_exact(tmp_path: Path, store: ObjectStore) -> None:
    engine = Engine(tmp_path, store)
    long = "x" * 64
    engine.publish_rows([{"id": 1, "short": long[1:], "long": f"{long}!", "n": 1e200, "none": None}])
    with open_inspection(engine.results, None, engine.settings(1)) as session:
        [row] = ask(session, "SELECT bounds FROM files")
    bounds = row["bounds"]
    assert bounds["long"] == {"minimum": long, "maximum": long[1:] + "y", "exact": False, "nulls": 0}
    assert bounds["short"] == {"minimum": long[1:], "maximum": long[1:], "exact": True, "nulls": 0}
    assert (bounds["n"]["exact"], bounds["none"]["exact"], bounds["none"]["minimum"]) == (True, False, None)


@any_store
def test_profile(inspection: Inspection) -> None:
    found = {row.pop("name"): row for row in ask(inspection, "FROM profile('jobs')")}
    assert list(found) == ["_row_id", "id", "title", "salary", "workflow", "run"]
    for column in NEW[0]:
        cells = sorted(row[column] for row in NEW if row[column] is not None)
        expected = {
            "rows": len(NEW),
            "nulls": len(NEW) - len(cells),
            "distinct_values": len(set(cells)),
            "minimum": str(cells[0]),
            "median": str(statistics.median_low(cells)),
            "maximum": str(cells[-1]),
        }
        assert expected.items() <= found[column].items()
    assert (found["salary"]["type"], found["title"]["type"]) == ("BIGINT", "VARCHAR")
    assert (found["salary"]["quarter"], found["salary"]["three_quarters"]) == ("2", "10")


@any_store
def test_run_diff(inspection: Inspection) -> None:
    found = {row["row_id"]: row for row in ask(inspection, "FROM run_diff('jobs', '2026-11-22', '2026-11-23')")}
    assert {name: row["change"] for name, row in found.items()} == {
        "b": "changed",
        "c": "removed",
        "d": "added",
        "e": "added",
    }
    assert found["b"]["changes"] == [{"field": "salary", "before": None, "after": "9"}]
    assert {(one["field"], one["before"], one["after"]) for one in found["c"]["changes"]} == {
        (name, str(value), None) for name, value in OLD[2].items()
    }
    assert ask(inspection, "FROM run_diff('jobs', '2026-11-22', '2026-11-22')") == []


@any_store
def test_a_failed_run_is_read_only_if_asked_for(inspection: Inspection) -> None:
    assert ask(inspection, "SELECT sku FROM result('prices', '2026-11-24', failed := true)") == FAILED
    for call in ("result('prices', '2026-11-24')", "result('jobs', '2026-11-23', failed := true)"):
        with pytest.raises(InvalidRequest, match=r"^There is no (finished|failed) run 2026-11-2. of a workflow"):
            ask(inspection, f"FROM {call}")


def test_exports(inspection: Inspection, engine: Engine) -> None:
    export = engine.export("csv", workflow="jobs")
    [found] = ask(inspection, "FROM exports")
    expected = {
        "export_id": export.export_id,
        "workflow": "jobs",
        "run": "2026-11-23",
        "format": "csv",
        "rows": 4,
        "bytes": export.size,
        "sha256": export.sha256,
        "crc64nvme": None,
    }
    assert expected.items() <= found.items()
    assert datetime.fromisoformat(found["kept_until"]) == export.retained_until


@any_store
def test_help_lists_every_view_and_macro(inspection: Inspection) -> None:
    listed = ask(inspection, "FROM help")
    assert {row["name"].partition("(")[0] for row in listed} == in_main(inspection)
    for row in listed:
        assert row["name"].partition("(")[0] in row["example"]
        assert ask(inspection, row["example"]) or row["name"] == "exports"


@any_store
def test_a_run_without_rows_has_its_columns(tmp_path: Path, store: ObjectStore) -> None:
    engine = Engine(tmp_path, store)
    schema = engine.write_schema(price="MONEY", when="DATETIME")
    engine.publish(engine.write("none.json", "[]"), run="r", workflow="none", schema=schema)
    with open_inspection(engine.results, None, engine.settings(1)) as session:
        names = [row["column_name"] for row in ask(session, "DESCRIBE FROM result('none')")]
        assert names == ["_row_id", "price", "when"]
        assert ask(session, "FROM result('none')") == []
        assert [row["rows"] for row in ask(session, "FROM profile('none')")] == [0, 0, 0]


def test_an_empty_store(tmp_path: Path, store: ObjectStore) -> None:
    engine = Engine(tmp_path, store)
    with open_inspection(engine.results, engine.store, engine.settings(1)) as session:
        for name in in_main(session) - {"result", "history", "row_groups", "profile", "run_diff", "help"}:
            assert ask(session, f"FROM {name}") == []
        assert len(ask(session, "FROM help")) == len(in_main(session))
        for call in ("result('jobs')", "row_groups('jobs')", "profile('jobs')", "run_diff('jobs', 'a', 'b')"):
            with pytest.raises(InvalidRequest, match=r"^There is no finished run .*of a workflow jobs; use FROM runs"):
                ask(session, f"FROM {call}")


HOSTILE = [
    "jobs') UNION ALL FROM read_text('/etc/passwd') --",
    "jobs''; DROP VIEW runs; --",
    "' OR 1=1 --",
    '"jobs"',
    "$.jobs",
    "$",
    "../jobs",
    "jobs/2026-11-23",
    "JOBS",
    "jobs ",
    "%",
    "prices",
    "",
]


@any_store
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_workflow_or_run_id_is_not_found(inspection: Inspection, name: str) -> None:
    quoted = "'" + name.replace("'", "''") + "'"
    for call in (f"result({quoted})", f"profile({quoted})", f"result('jobs', {quoted})", f"result({quoted}, '')"):
        if call == "result('jobs', '')":
            continue
        with pytest.raises(InvalidRequest, match=r"^There is no finished run"):
            ask(inspection, f"FROM {call}")
    assert len(ask(inspection, "FROM runs")) == 3


def test_a_replaced_part_is_reported_as_damage(tmp_path: Path, store: ObjectStore) -> None:
    engine = Engine(tmp_path, store)
    part = engine.publish_rows(NEW, "r", row_id="id").parts[0]
    with open_inspection(engine.results, None, engine.settings(1)) as session:
        store.replace(part.key, store.read(part.key)[::-1], etag=part.etag)
        with pytest.raises(SourceDamaged, match="changed after it was published"):
            ask(session, "FROM result('w')")
