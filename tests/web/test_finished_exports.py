"""Finished exports as things: listed, deleted on every replica, and never opened by an old URL again."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from engine.exports.verify import verify_exports
from engine.stores import open_store
from tests.helpers.crc64_oracle import crc64_text
from tests.helpers.damages import rewrite
from tests.helpers.server import KEY, OTHER_KEY, Answer, Server
from tests.web.test_openapi_answers import check
from web.openapi.document import make_document

ROWS = [{"n": n, "text": f"row {n}"} for n in range(50)]
BELOW = "/v4/workflows/numbers/data/exports"
DOCUMENT = make_document("http://127.0.0.1")


@pytest.fixture(scope="module")
def replicas(
    module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server]]:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "rows.json").write_text(json.dumps(ROWS))
    (folder / "second").mkdir()
    # One address, as behind a proxy: URLs of one replica open at the other.
    first, second = (
        Server(module_store_url, where, TAILRACE_BASE_URL="http://exports.example")
        for where in (folder, folder / "second")
    )
    with first, second:
        first.publish("--workflow", "numbers", "--run", "r", "--row-id", "n", str(folder / "rows.json"))
        first.publish("--workflow", "empty", "--run", "r", str(folder / "rows.json"))
        yield first, second


def at(server: Server, url: str) -> str:
    """The URL at one replica."""
    return url.replace("http://exports.example", server.base)


def delete(server: Server, export_id: str, key: str = KEY, query: str = "") -> Answer:
    answer = server.request(f"{BELOW}/{export_id}{query}", "DELETE", {"x-api-key": key} if key else {})
    check(DOCUMENT, "delete", "/v4/workflows/{workflowId}/data/exports/{exportId}", answer)
    return answer


def listed(server: Server, workflow: str = "numbers", **parameters: int) -> Any:
    path = f"/v4/workflows/{workflow}/data/exports?{urlencode(parameters)}"
    answer = server.request(path, headers={"x-api-key": KEY})
    check(DOCUMENT, "get", "/v4/workflows/{workflowId}/data/exports", answer)
    return answer.json()


def test_a_deleted_export_opens_nowhere_and_never_again(replicas: tuple[Server, Server]) -> None:
    first, second = replicas
    made = first.export("numbers", sortBy="n", order="desc").json()
    content = second.request(at(second, made["url"])).body
    assert hashlib.sha256(content).hexdigest() == made["sha256"]
    assert delete(first, made["exportId"]).status == 204
    again = second.export("numbers", sortBy="n", order="desc").json()
    assert again["exportId"] != made["exportId"]
    assert second.request(at(second, again["url"])).body == content
    for server in replicas:
        gone = server.request(at(server, made["url"]))
        assert (gone.status, gone.json()["code"]) == (404, "not_found")
        status = server.request(f"{BELOW}/{made['exportId']}/status", headers={"x-api-key": KEY})
        assert status.status == 404
        # Equal requests share the new export.
        assert server.export("numbers", sortBy="n", order="desc").json()["exportId"] == again["exportId"]
    assert delete(second, made["exportId"]).status == 404
    assert delete(second, again["exportId"]).status == 204
    third = first.export("numbers", sortBy="n", order="desc").json()["exportId"]
    assert third not in (made["exportId"], again["exportId"])


def test_only_the_team_may_delete_and_no_signature(replicas: tuple[Server, Server]) -> None:
    server, _ = replicas
    made = server.export("numbers").json()
    query = "?" + made["url"].partition("?")[2]
    assert delete(server, made["exportId"], key="", query=query).status == 401
    assert delete(server, made["exportId"], key="").status == 401
    theirs, unknown = (
        delete(server, one, key=OTHER_KEY) for one in (made["exportId"], "00000000-0000-8000-8000-000000000000")
    )
    assert theirs.status == unknown.status == 404
    assert theirs.json() | {"requestId": ""} == unknown.json() | {"requestId": ""}
    assert delete(server, made["exportId"], query="?force=true").status == 400
    assert delete(server, "nothing").status == 404
    assert server.request(at(server, made["url"])).status == 200
    refused = server.request(f"{BELOW}/{made['exportId']}/status", "DELETE", {"x-api-key": KEY})
    assert (refused.status, refused.json()["code"]) == (409, "conflict")
    assert server.request(at(server, made["url"])).status == 200


def test_the_list_says_what_was_asked_for_the_newest_first(replicas: tuple[Server, Server]) -> None:
    server, other = replicas
    assert listed(server, "empty") == {
        "workflowId": "empty",
        "exports": [],
        "pagination": {"totalCount": 0, "page": 1, "totalPages": 0, "limit": 25},
    }
    filters = [{"field": "n", "operator": "LESS_THAN", "value": 2.5}, {"field": "text", "operator": "IS_NOT_NULL"}]
    made = []
    for parameters in (
        {"format": "json", "filters": json.dumps(filters), "sortBy": "text"},
        {"rowIds": "1,2,7", "includeRowIds": "true", "delimiter": "semicolon"},
    ):
        # Azure's dates are whole seconds: exports of one second have no order.
        time.sleep(1.1)
        made.append(server.export("numbers", **parameters).json())
    found = listed(other, limit=2)
    assert [one["exportId"] for one in found["exports"]] == [one["exportId"] for one in reversed(made)]
    assert [one["request"] for one in found["exports"]] == [
        {"rowIds": 3, "includeRowIds": True, "delimiter": "semicolon"},
        {"filters": filters, "sortBy": "text", "order": "asc"},
    ]
    for one, answer in zip(found["exports"], reversed(made), strict=True):
        for name in ("runId", "format", "rowCount", "sizeBytes", "sha256"):
            assert one[name] == answer[name]
        assert one["createdAt"] < answer["expiresAt"] <= one["retainedUntil"]
    total = found["pagination"]["totalCount"]
    assert [one["exportId"] for one in listed(server, limit=1, page=2)["exports"]] == [made[0]["exportId"]]
    assert delete(server, made[0]["exportId"]).status == 204
    after = listed(other, limit=1000)
    assert after["pagination"]["totalCount"] == total - 1
    assert made[0]["exportId"] not in {one["exportId"] for one in after["exports"]}
    denied = server.request(BELOW, headers={"x-api-key": OTHER_KEY})
    assert denied.status == 404
    assert server.request(f"{BELOW}?limit=x", headers={"x-api-key": KEY}).status == 400


def test_a_request_that_is_too_long_to_be_kept_is_left_out_of_the_list(replicas: tuple[Server, Server]) -> None:
    server, _ = replicas
    values = [f"row {n:04}" for n in range(1000)]
    body = json.dumps({"filters": [{"field": "text", "operator": "NOT_IN", "value": values}]}).encode()
    answer = server.request(
        "/v4/workflows/numbers/data/export", "POST", {"x-api-key": KEY, "content-type": "application/json"}, body
    )
    assert answer.status == 200
    found = {one["exportId"]: one for one in listed(server)["exports"]}
    assert "request" not in found[answer.json()["exportId"]]


def test_a_file_with_a_checksum_instead_of_a_hash_is_answered_listed_downloaded_and_verified(
    replicas: tuple[Server, Server],
) -> None:
    """As a cluster makes them above TAILRACE_SHA256_LIMIT. Its metadata is written here."""
    server, _ = replicas
    connection = server.environment.get("AZURE_STORAGE_CONNECTION_STRING")
    exports = open_store(server.environment["TAILRACE_EXPORTS"], connection_string=connection)
    made = server.export("numbers", sortBy="text").json()
    key = f"numbers/{made['exportId']}.csv"
    content = exports.read(key)
    info = exports.head(key)
    assert info is not None
    metadata = {name: text for name, text in info.metadata.items() if name != "sha256"}
    rewrite(exports, key, content, metadata | {"crc64nvme": crc64_text(content)})
    again = server.export("numbers", sortBy="text")
    check(DOCUMENT, "get", "/v4/workflows/{workflowId}/data/export", again)
    (entry,) = (one for one in listed(server)["exports"] if one["exportId"] == made["exportId"])
    status = server.request(f"{BELOW}/{made['exportId']}/status", headers={"x-api-key": KEY})
    for body in (again.json(), entry, status.json()):
        assert ("sha256" in body, body.get("crc64nvme")) == (False, crc64_text(content)), body
    url, etag = at(server, again.json()["url"]), f'"{crc64_text(content)}"'
    for method, headers, wanted in (
        ("GET", {}, (200, content)),
        ("HEAD", {}, (200, b"")),
        ("GET", {"range": "bytes=0-3", "if-range": etag}, (206, content[:4])),
        ("GET", {"range": "bytes=0-3", "if-range": '"other"'}, (200, content)),
        ("GET", {"if-none-match": etag}, (304, b"")),
    ):
        answer = server.request(url, method, headers)
        assert (answer.status, answer.body) == wanted
        assert (answer.headers["etag"], "repr-digest" in answer.headers) == (etag, False)
    found = {one.key: one.problem for one in verify_exports(exports)}
    assert found[key] is None
    rewrite(exports, key, content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    found = {one.key: one.problem for one in verify_exports(exports)}
    assert found[key] == "its bytes differ from those that were exported"
    exports.delete(key)


def test_every_answer_about_the_file_has_its_digest(replicas: tuple[Server, Server]) -> None:
    server, _ = replicas
    made = server.export("numbers").json()
    url = at(server, made["url"])
    wanted = f"sha-256=:{base64.b64encode(bytes.fromhex(made['sha256'])).decode()}:"
    for method, headers, status in (
        ("GET", {}, 200),
        ("HEAD", {}, 200),
        ("GET", {"range": "bytes=0-3"}, 206),
        ("GET", {"if-none-match": f'"{made["sha256"]}"'}, 304),
    ):
        answer = server.request(url, method, headers)
        assert (answer.status, answer.headers["repr-digest"]) == (status, wanted)
