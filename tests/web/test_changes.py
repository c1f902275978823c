"""What changed between runs, over HTTP: `sinceRunId`, the list of changes and one of them."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.helpers.server import KEY, OTHER_KEY, Answer, Server
from tests.helpers.stores import any_store
from tests.web.test_assistants import call, over_http
from tests.web.test_openapi_answers import check
from web.openapi.document import make_document

DOCUMENT = make_document("http://127.0.0.1")
RUNS: dict[str, list[dict[str, object]]] = {
    "r1": [{"sku": "a", "price": 1, "tags": ["x"]}, {"sku": "b", "price": 2}, {"sku": "c", "price": 3}],
    "r2": [{"sku": "b", "price": 2}, {"sku": "c", "price": 4}, {"sku": "d", "price": 5, "tags": []}],
    "r3": [{"sku": "b", "price": 2}, {"sku": "c", "price": 4}, {"sku": "d", "price": 5, "tags": []}],
}
DAYS = {"r1": "2026-11-01", "r2": "2026-11-02", "r3": "2026-11-03"}


@pytest.fixture(scope="module")
def shop(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("changes")
    with Server(module_store_url, folder) as server:
        for run, rows in RUNS.items():
            path = folder / f"{run}.json"
            path.write_text(json.dumps(rows))
            shared = ("--workflow", "shop", "--run", run, "--executed-at", f"{DAYS[run]}T00:00:00Z")
            server.publish(*shared, "--row-id", "sku", str(path))
            server.publish("--workflow", "numbered", "--run", run, str(path))
        yield server


def get(server: Server, path: str, template: str, key: str = KEY, **parameters: Any) -> Answer:
    answer = server.request(f"{path}?{urlencode(parameters)}", headers={"x-api-key": key})
    check(DOCUMENT, "get", template, answer)
    return answer


def listed(server: Server, version: str = "v5", **parameters: Any) -> Any:
    return get(server, f"/{version}/changes", f"/{version}/changes", **parameters).json()


def test_an_export_since_a_run_has_the_rows_that_differ(shop: Server) -> None:
    answer = shop.export("shop", runId="r2", sinceRunId="r1").json()
    assert (answer["sinceRunId"], answer["rowCount"]) == ("r1", 3)
    assert [field["name"] for field in answer["schema"]] == ["_change", "_row_id", "sku", "price", "tags"]
    assert answer["url"].partition("?")[0].endswith("/shop-r2-changes.csv")
    rows = list(csv.reader(io.StringIO(shop.request(answer["url"]).body.decode())))
    assert rows[1:] == [
        ["changed", "c", "c", "4", ""],
        ["added", "d", "d", "5", "[]"],
        ["removed", "a", "a", "1", '["x"]'],
    ]
    # The answer for a file that is there already is the same.
    again = shop.export("shop", runId="r2", sinceRunId="r1").json()
    assert (again["exportId"], again["schema"]) == (answer["exportId"], answer["schema"])


def test_a_page_has_the_rows_that_differ(shop: Server) -> None:
    template = "/v4/workflows/{workflowId}/data"
    page = get(shop, "/v4/workflows/shop/data", template, runId="r2", sinceRunId="r1", sortBy="sku", limit=2).json()
    assert page["pagination"]["totalCount"] == 3
    assert [(row["_change"], row["_row_id"]) for row in page["data"]] == [("removed", "a"), ("changed", "c")]


@any_store
def test_what_cannot_be_compared_is_refused_with_the_remedy(shop: Server) -> None:
    cases = {
        ("shop", "r1", "r1"): "is the run itself",
        ("shop", "r1", "r2"): "newer than the run",
        ("shop", "r2", "unknown"): "no finished run 'unknown'",
        ("numbered", "r2", "r1"): "--row-id",
    }
    for (workflow, run, since), reason in cases.items():
        answer = shop.export(workflow, runId=run, sinceRunId=since)
        assert (answer.status, answer.json()["details"]["parameter"]) == (400, "sinceRunId")
        assert reason in answer.json()["message"]


@pytest.mark.parametrize("version", ["v4", "v5"])
def test_changes_are_listed_with_counts_and_a_link(shop: Server, version: str) -> None:
    found = listed(shop, version)
    assert [change["id"] for change in found["changes"]] == ["shop:r3", "shop:r2"]
    assert found["changesCount"] == found["pagination"]["totalCount"] == 2
    newest, older = found["changes"]
    assert newest["differencesCounts"] == {"added": 0, "changed": 0, "removed": 0}
    assert older["differencesCounts"] == {"added": 1, "changed": 1, "removed": 1}
    assert [newest["changedColumns"], older["changedColumns"]] == [[], [{"name": "price", "rows": 1}]]
    assert (older["sinceRunId"], older["createdAt"]) == ("r1", "2026-11-02T00:00:00Z")
    assert [newest["summary"], older["summary"]] == [
        "0 rows were added, 0 changed and 0 removed.",
        "1 row was added, 1 changed and 1 removed.",
    ]
    assert shop.request(older["url"], headers={"x-api-key": KEY}).json()["rowCount"] == 3
    assert "differences" not in older


@pytest.mark.parametrize("version", ["v4", "v5"])
def test_one_change_has_the_rows_that_differ_with_their_fields(shop: Server, version: str) -> None:
    (older,) = listed(shop, version, endDate="2026-11-02T00:00:00Z")["changes"]
    path, template = f"/{version}/changes/shop:r2", f"/{version}/changes/{{changeId}}"
    one = get(shop, path, template).json()
    assert one.pop("differences") == [
        {"type": "changed", "rowId": "c", "fields": [{"key": "price", "value": "4", "previousValue": "3"}]},
        {
            "type": "added",
            "rowId": "d",
            "fields": [{"key": "sku", "value": "d"}, {"key": "price", "value": "5"}, {"key": "tags", "value": "[]"}],
        },
        {
            "type": "removed",
            "rowId": "a",
            "fields": [{"key": "sku", "value": "a"}, {"key": "price", "value": "1"}, {"key": "tags", "value": '["x"]'}],
        },
    ]
    assert one == older
    assert get(shop, path, template, exclude="differences").json() == older
    assert get(shop, path, template, exclude="url").status == 400


@any_store
def test_changes_are_selected_by_workflow_time_and_page(shop: Server) -> None:
    assert [change["id"] for change in listed(shop, startDate="2026-11-03")["changes"]] == ["shop:r3"]
    assert [change["id"] for change in listed(shop, endDate="2026-11-02T00:00:00Z")["changes"]] == ["shop:r2"]
    assert [change["id"] for change in listed(shop, skip=1, limit=1)["changes"]] == ["shop:r2"]
    assert listed(shop, workflowIds="numbered")["changes"] == []
    assert "summary" not in listed(shop, exclude="data,differences,summary")["changes"][0]
    for name, value in {"startDate": "yesterday", "limit": -1, "exclude": "url", "workflowIds": ""}.items():
        parameters: dict[str, Any] = {name: value}
        answer = get(shop, "/v5/changes", "/v5/changes", **parameters)
        assert (answer.status, answer.json()["details"]["parameter"]) == (400, name)


@any_store
def test_the_command_writes_the_same_file_as_the_service(shop: Server, tmp_path: Path) -> None:
    shop.command("export", "shop", "--run", "r2", "--since", "r1", "-o", str(tmp_path / "changes.csv"))
    assert (tmp_path / "changes.csv").read_bytes() == shop.download("shop", runId="r2", sinceRunId="r1")


@any_store
def test_an_assistant_finds_what_changed(shop: Server) -> None:
    listed_, failed = over_http(shop, call("list_changes", workflow_id="shop", page=1))
    assert not failed
    newest, older = json.loads(listed_)["changes"]
    pair = {"workflow_id": "shop", "run_id": older["runId"], "since_run_id": older["sinceRunId"]}
    text, failed = over_http(shop, call("read_rows", **pair, sort_by="sku"))
    assert not failed
    assert [row["_change"] for row in json.loads(text)["data"]] == ["removed", "changed", "added"]
    text, failed = over_http(shop, call("export_rows", **pair, format="jsonl"))
    assert not failed
    assert json.loads(text)["rowCount"] == 3
    text, failed = over_http(shop, call("export_rows", **pair | {"run_id": "r1"}))
    assert failed
    assert "sinceRunId" in text
    assert newest["differencesCounts"]["changed"] == 0


def test_another_team_sees_no_changes(shop: Server) -> None:
    assert get(shop, "/v5/changes", "/v5/changes", OTHER_KEY).json()["changes"] == []
    for change_id in ("shop:r2", "shop:r1", "shop:zz", "nowhere:r1", "shop"):
        key = KEY if change_id != "shop:r2" else OTHER_KEY
        answer = get(shop, f"/v5/changes/{change_id}", "/v5/changes/{changeId}", key)
        assert answer.status == 404
    assert get(shop, "/v5/changes", "/v5/changes", OTHER_KEY, workflowIds="shop").status == 404


def test_deleting_either_run_deletes_an_export_of_changes(shop: Server, tmp_path: Path) -> None:
    for run, rows in (("a", RUNS["r1"]), ("b", RUNS["r2"])):
        (tmp_path / "rows.json").write_text(json.dumps(rows))
        shop.publish("--workflow", "dying", "--run", run, "--row-id", "sku", str(tmp_path / "rows.json"))
    url = shop.export("dying", runId="b", sinceRunId="a").json()["url"]
    assert shop.request(url).status == 200
    shop.command("delete", "dying", "a", "--yes")
    assert shop.request(url).status == 404
