"""A damaged document of any kind does not affect another workflow, team or request."""

import csv
import io
import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import run_key, workflow_key
from engine.exports.sweep import Sweeper
from engine.exports.verify import verify_exports
from engine.query.inspect.snapshot import EXPORTS, Snapshot
from engine.stores import ObjectStore, open_store
from tests.helpers.damages import DAMAGES, restored, rewrite
from tests.helpers.running import wait_for
from tests.helpers.server import KEY, OTHER_KEY, Server
from tests.helpers.stores import any_store, on_azure

ROWS = [{"id": str(n), "n": n} for n in range(5)]


@pytest.fixture(scope="module")
def server(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "rows.json").write_text(json.dumps(ROWS))
    with Server(module_store_url, folder) as server:
        for workflow, run, team in (
            ("broken", "r1", "acme"),
            ("fine", "r1", "acme"),
            ("half", "r1", "acme"),
            ("half", "r2", "acme"),
            ("theirs", "r1", "rival"),
        ):
            server.publish("--workflow", workflow, "--run", run, str(folder / "rows.json"), team=team)
        yield server


def store_of(server: Server, which: str) -> ObjectStore:
    connection = server.environment.get("AZURE_STORAGE_CONNECTION_STRING")
    return open_store(server.environment[f"TAILRACE_{which.upper()}"], connection_string=connection)


def listed(server: Server, key: str) -> list[str]:
    answer = server.request("/v4/workflows", headers={"x-api-key": key})
    assert answer.status == 200, answer.body
    return [found["workflowId"] for found in answer.json()["workflows"]]


def wrong_exports(exports: ObjectStore) -> list[str]:
    """The keys that a verification reports."""
    return [one.key for one in verify_exports(exports, "fine") if one.problem is not None]


def sweep(server: Server) -> None:
    """Sweep as the command does."""
    results, exports = store_of(server, "results"), store_of(server, "exports")
    Sweeper(ResultStore(results), exports, server.folder / "spill", now=datetime.now(UTC)).sweep()


def get(server: Server, path: str) -> tuple[int, Any]:
    answer = server.request(path, headers={"x-api-key": KEY})
    return answer.status, answer.json()


@any_store
def test_a_damaged_workflow_or_run_does_not_affect_others(server: Server) -> None:
    results = store_of(server, "results")
    keys = [workflow_key("broken"), run_key("half", "r2")]
    with restored(results, keys) as whole:
        damaged = {name: [damage(whole[key]) for key in keys] for name, damage in DAMAGES.items()}
        # A manifest may be large, so this one is not damaged by its size.
        damaged["huge"][1] = DAMAGES["truncated"](whole[keys[1]])
        damaged["another's document"] = [results.read(workflow_key("theirs")), results.read(run_key("half", "r1"))]
        for name, contents in damaged.items():
            for key, content in zip(keys, contents, strict=True):
                rewrite(results, key, content)
            assert listed(server, KEY) == ["fine", "half"], name
            assert listed(server, OTHER_KEY) == ["theirs"], name
            assert server.download("fine", format="csv").count(b"\n") == len(ROWS) + 1, name
            assert server.download("half", runId="r1").count(b"\n") == len(ROWS) + 1, name
            assert server.export("half", runId="r2").status == 500, name
            # Its owner is unknown: everyone gets the answer for a missing workflow.
            status, body = get(server, "/v4/workflows/broken/data/export")
            missing = get(server, "/v4/workflows/none-such/data/export")
            assert ({**body, "requestId": ""}, status) == ({**missing[1], "requestId": ""}, missing[0]), name
            assert status == 404, name
            status, body = get(server, "/v4/workflows/half")
            assert (status, [run["runId"] for run in body["runs"]]) == (200, ["r1"]), name
        events = [line["event"] for line in server.logged()]
        for key in keys:
            assert any(key in event for event in events)
    assert listed(server, KEY) == ["broken", "fine", "half"]
    assert server.export("half").status == 200


@any_store
@pytest.mark.parametrize("name", ["empty", "a newer version"])
def test_commands_report_damaged_documents_and_continue(server: Server, name: str) -> None:
    results = store_of(server, "results")
    keys = [workflow_key("broken"), run_key("half", "r2")]
    with restored(results, keys) as whole:
        for key in keys:
            rewrite(results, key, DAMAGES[name](whole[key]))
        verified = server.command("verify")
        assert verified.returncode == 1
        assert all(f"{key}: " in verified.stderr for key in keys), verified.stderr
        # The parts of the four runs with intact manifests are read, the one of `broken` included.
        assert f"{4 + len(keys)} files" in verified.stdout, verified.stdout
        assert f": {len(keys)} damaged." in verified.stdout, verified.stdout
        assert ("written by a newer version of Tailrace" in verified.stderr) is (name == "a newer version")
        asked = server.command("sql", "SELECT workflow, run FROM runs ORDER BY ALL", "--format", "csv")
        assert asked.returncode == 0, asked.stderr
        found = list(csv.reader(io.StringIO(asked.stdout)))[1:]
        assert found == [["broken", "r1"], ["fine", "r1"], ["half", "r1"], ["theirs", "r1"]]
        assert len(asked.stderr.splitlines()) == len(keys), asked.stderr
        assert all(f"Warning: skipped {key}" in asked.stderr for key in keys), asked.stderr
        done = server.command("runs")
        assert (done.returncode, "fine" in done.stdout, keys[0] in done.stderr) == (0, True, True), done.stderr
        done = server.command("runs", "half")
        assert (done.returncode, "r1" in done.stdout, keys[1] in done.stderr) == (0, True, True), done.stderr
        swept = server.command("sweep")
        assert (swept.returncode, "workflow=half/run=r2" in swept.stderr) == (1, True), swept.stderr
        source = str(server.folder / "rows.json")
        again = server.command("publish", "--team", "acme", "--workflow", "broken", "--run", "r9", source)
        assert (again.returncode, keys[0] in again.stderr) == (1, True), again.stderr
    assert server.command("verify").returncode == 0


@any_store
def test_a_damaged_status_document_is_replaced(server: Server) -> None:
    exports = store_of(server, "exports")
    headers = {"x-api-key": KEY, "prefer": "respond-async"}
    path = "/v4/workflows/fine/data/export?format=json"
    made = server.export("fine", format="json").json()
    key = f"fine/{made['exportId']}.ticket.json"
    assert server.request(path, headers=headers).status == 202
    whole = exports.read(key)
    damaged = {name: damage(whole) for name, damage in DAMAGES.items()}
    damaged["another's"] = whole.replace(made["exportId"].encode(), str(uuid.uuid4()).encode())
    for name, content in damaged.items():
        rewrite(exports, key, content)
        assert wrong_exports(exports) == [key], name
        # The status follows from the file if the document is damaged; without the file there is none.
        assert get(server, f"/v4/workflows/fine/data/exports/{made['exportId']}/status")[0] == 200, name
        answer = server.request(path, headers=headers)
        assert (answer.status, answer.json()["phase"]) == (202, "done"), name
        assert json.loads(exports.read(key))["exportId"] == made["exportId"], name
        rewrite(exports, key, content)
        assert exports.delete(f"fine/{made['exportId']}.json"), name
        assert get(server, f"/v4/workflows/fine/data/exports/{made['exportId']}/status")[0] == 404, name
        answer = server.request(path, headers={**headers, "prefer": "respond-async, wait=30"})
        assert (answer.status, answer.json()["sha256"]) == (200, made["sha256"]), name
        # The final status is written shortly after the file.
        wait_for(lambda: json.loads(exports.read(key))["phase"] == "done")


@any_store
def test_a_damaged_lease_retains_the_file_and_is_replaced(server: Server) -> None:
    exports = store_of(server, "exports")
    made = server.export("fine", format="csv").json()
    file = f"fine/{made['exportId']}.csv"
    key = f"{file}.lease.json"
    whole = b'{"formatVersion":1,"until":"2026-01-01T00:00:00Z","retired":null}'
    info = exports.head(file)
    assert info is not None
    expired = {**info.metadata, "until": "2020-01-01T00:00:00+00:00"}
    for name, damage in DAMAGES.items():
        if name == "no members" or damage(whole) != whole:
            rewrite(exports, file, exports.read(file), expired)
            rewrite(exports, key, damage(whole))
        sweep(server)
        assert exports.head(file) is not None, name
        assert wrong_exports(exports) == [key], name
        again = server.export("fine", format="csv")
        assert (again.status, again.json()["sha256"]) == (200, made["sha256"]), name
        assert server.request(again.json()["url"]).status == 200, name
    exports.delete(key)


METADATA: dict[str, dict[str, str | None]] = {
    "none at all": dict.fromkeys(("formatversion", "rows", "sha256", "run", "format", "until", "rowids")),
    "no rows": {"rows": None},
    "rows that are no number": {"rows": "1_0"},
    "negative rows": {"rows": "-1"},
    "endless rows": {"rows": "9" * 5000},
    "no sha256": {"sha256": None},
    "a short sha256": {"sha256": "ab"},
    "no run": {"run": None},
    "a run that is no id": {"run": "../x"},
    "no format": {"format": None},
    "an unknown format": {"format": "pdf"},
    "a time that is none": {"until": "yesterday"},
    "a time without a zone": {"until": "2026-11-30T00:00:00"},
    "row ids that are neither": {"rowids": "maybe"},
    "a newer version": {"formatversion": "2"},
}


def test_an_export_with_damaged_metadata_is_made_again(server: Server) -> None:
    exports = store_of(server, "exports")
    made = server.export("fine", format="csv").json()
    key = f"fine/{made['exportId']}.csv"
    for name, change in METADATA.items():
        info = exports.head(key)
        assert info is not None
        url = server.export("fine", format="csv").json()["url"]
        changed = {part: text for part, text in {**info.metadata, **change}.items() if text is not None}
        rewrite(exports, key, exports.read(key), changed)
        for method in ("GET", "HEAD"):
            assert server.request(url, method).status == 404, name
        sweep(server)
        assert exports.head(key) is not None, name
        assert wrong_exports(exports) == [key], name
        with closing(Snapshot(ResultStore(store_of(server, "results")), exports)) as snapshot:
            snapshot.lines(EXPORTS)
            (skipped,) = snapshot.skipped
        assert skipped.startswith(f"{key} cannot be read: "), name
        if name == "a newer version":
            asked = server.command("sql", "SELECT count(*) AS n FROM exports WHERE format = 'csv'", "--format", "csv")
            assert (asked.returncode, f"Warning: skipped {key}" in asked.stderr) == (0, True), asked.stderr
            verified = server.command("verify", "fine", "--exports")
            assert (verified.returncode, f"{key}: " in verified.stderr) == (1, True), verified.stderr
        again = server.export("fine", format="csv")
        assert (again.status, again.json()["sha256"]) == (200, made["sha256"]), name
        assert server.request(again.json()["url"]).status == 200, name
        assert server.request(url).status == 200, name
    assert any(key in line["event"] for line in server.logged())


@on_azure
def test_an_archived_export_is_reported_and_made_again(server: Server) -> None:
    exports = store_of(server, "exports")
    made = server.export("fine", format="parquet").json()
    key = f"fine/{made['exportId']}.parquet"
    exports._blob(key).set_standard_blob_tier("Archive")  # type: ignore[attr-defined]
    for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"range": "bytes=4-7"})):
        answer = server.request(made["url"], method, headers=headers)
        assert answer.status == 503, method
        assert "etag" not in answer.headers, method
    verified = server.command("verify", "fine", "--exports")
    assert (verified.returncode, f"{key}: it is unavailable" in verified.stderr) == (1, True), verified.stderr
    # No status returns a URL that cannot be opened.
    assert get(server, f"/v4/workflows/fine/data/exports/{made['exportId']}/status")[0] == 404
    again = server.export("fine", format="parquet")
    assert (again.status, again.json()["sha256"]) == (200, made["sha256"])
    assert server.request(made["url"]).status == 200
    # An archived document is skipped like a damaged one.
    results = store_of(server, "results")
    with restored(results, [workflow_key("broken")]):
        results._blob(workflow_key("broken")).set_standard_blob_tier("Archive")  # type: ignore[attr-defined]
        assert listed(server, KEY) == ["fine", "half"]
        assert get(server, "/v4/workflows/broken")[0] == 404
    # Parts can be archived too: their run cannot be exported, and verify names them.
    (part,) = [info.key for info in results.list("workflow=theirs/") if info.key.endswith(".parquet")]
    results._blob(part).set_standard_blob_tier("Archive")  # type: ignore[attr-defined]
    assert server.export("theirs", OTHER_KEY).status == 503
    assert server.export("fine", format="json").status == 200
    verified = server.command("verify")
    assert (verified.returncode, f"{part}: it is unavailable" in verified.stderr) == (1, True), verified.stderr
    assert ": 1 damaged." in verified.stdout


@any_store
def test_verify_distinguishes_damaged_from_unreadable_exports(server: Server) -> None:
    exports = store_of(server, "exports")
    made = server.export("half", runId="r1", format="csv").json()
    key = f"half/{made['exportId']}.csv"
    path = exports.local_path(key)
    assert path is not None
    content = path.read_bytes()
    # A link to itself cannot be opened, even by root.
    path.unlink()
    path.symlink_to(path.name)
    assert server.request(made["url"]).status == 503
    assert server.export("half", runId="r1", format="csv").status == 503
    verified = server.command("verify", "half", "--exports")
    assert (verified.returncode, f"{key}: it is unavailable" in verified.stderr) == (1, True), verified.stderr
    path.unlink()
    path.write_bytes(content.swapcase())
    verified = server.command("verify", "half", "--exports")
    assert f"{key}: its bytes differ from those that were exported" in verified.stderr, verified.stderr
