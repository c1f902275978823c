"""Publishing over HTTP: accepted and refused bodies, and retries."""

import gzip
import http.client
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.helpers.running import wait_for
from tests.helpers.server import KEY, OTHER_PUBLISH_KEY, PUBLISH_KEY, Answer, Server
from tests.helpers.stores import any_store
from tests.web.test_openapi_answers import check
from web.openapi.document import make_document

DOCUMENT = make_document("http://x")
LIMIT = 2_000_000
ROWS: list[dict[str, Any]] = [{"id": "a", "n": 1, "t": "é\n"}, {"id": "b", "n": None, "t": ""}]


@pytest.fixture(scope="module")
def server(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("publishing")
    with Server(module_store_url, folder, TAILRACE_PUBLISH_LIMIT="2MB") as server:
        yield server


_numbers = iter(range(10**6))


@pytest.fixture
def workflow() -> str:
    return f"w{next(_numbers)}"


def send(
    server: Server,
    workflow: str,
    body: bytes,
    content_type: str = "application/json",
    key: str = PUBLISH_KEY,
    headers: Mapping[str, str] | None = None,
    **parameters: Any,
) -> Answer:
    path = f"/v4/workflows/{workflow}/runs" + (f"?{urlencode(parameters)}" if parameters else "")
    given = {"x-api-key": key, "content-type": content_type, **(headers or {})}
    answer = server.request(path, "POST", given, body)
    check(DOCUMENT, "post", "/v4/workflows/{workflowId}/runs", answer)
    return answer


def spilled(server: Server) -> list[str]:
    return [path.name for path in (server.folder / "spill").glob("*")]


def parquet(table: pa.Table) -> bytes:
    file = pa.BufferOutputStream()
    pyarrow.parquet.write_table(table, file)
    return bytes(file.getvalue())


KINDS = {
    "csv": ("text/csv; charset=utf-8", b'id,n,t\na,1,"\xc3\xa9\n"\nb,,""\n'),
    "json": ("application/json", json.dumps(ROWS).encode()),
    "ndjson": ("application/x-ndjson", b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)),
    "parquet": ("application/vnd.apache.parquet", b""),
}


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", KINDS)
def test_published_rows_are_exported_unchanged(server: Server, workflow: str, kind: str, compressed: bool) -> None:
    content_type, body = KINDS[kind]
    body = body or parquet(pa.Table.from_pylist(ROWS))
    if compressed:
        body = gzip.compress(body)
    types = {"id": "STRING", "n": "NUMBER", "t": "STRING"}
    schema = json.dumps([{"name": name, "dataType": type_} for name, type_ in types.items()])
    answer = send(
        server, workflow, body, content_type, headers={"content-encoding": "gzip"} if compressed else None,
        runId="r1", rowId="id", executedAt="2026-11-01T10:00:00Z", name="A name", schema=schema,
    )  # fmt: skip
    assert answer.status == 201, answer.body
    told = answer.json()
    assert {name: told[name] for name in ("workflowId", "runId", "state", "rowCount", "executedAt", "rowIdField")} == {
        "workflowId": workflow,
        "runId": "r1",
        "state": "FINISHED",
        "rowCount": 2,
        "executedAt": "2026-11-01T10:00:00Z",
        "rowIdField": "id",
    }
    assert {field["name"]: field["type"] for field in told["schema"]} == types
    assert json.loads(server.download(workflow, format="json")) == ROWS
    assert json.loads(server.download(workflow, format="json", rowIds="b")) == ROWS[1:]
    listed = server.request(f"/v4/workflows/{workflow}", headers={"x-api-key": KEY}).json()
    assert (listed["name"], listed["latestRunId"]) == ("A name", "r1")
    assert spilled(server) == []


def test_a_published_run_is_exported_before_anyone_asks(
    module_store_url: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    location, environment = module_store_url
    with Server((f"{location}/prepared", environment), tmp_path, TAILRACE_PREPARE_FORMATS="parquet,csv") as server:
        assert send(server, "w", json.dumps(ROWS).encode(), runId="r").status == 201
        headers = {"x-api-key": KEY}
        path = "/v4/workflows/w/data/exports"
        wait_for(lambda: server.request(path, headers=headers).json()["pagination"]["totalCount"] == 2)
        made = {one["format"]: one["exportId"] for one in server.request(path, headers=headers).json()["exports"]}
        answer = server.request("/v4/workflows/w/data/export?format=parquet", headers=headers).json()
        assert (answer["exportId"], answer["rowCount"]) == (made["parquet"], 2)
        # A repeated request makes none.
        assert send(server, "w", json.dumps(ROWS).encode(), runId="r").status == 200
        assert send(server, "w", json.dumps(ROWS).encode(), runId="f", state="FAILED").status == 201
        assert server.request(path, headers=headers).json()["pagination"]["totalCount"] == 2


@any_store
def test_a_run_without_an_id_gets_a_generated_one(server: Server, workflow: str) -> None:
    answers = [send(server, workflow, b'[{"a": 1}]') for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    ids = {answer.json()["runId"] for answer in answers}
    assert len(ids) == 2
    assert server.download(workflow, runId=ids.pop()) == b"a\n1\n"


def test_a_retry_gets_the_same_run(server: Server, workflow: str) -> None:
    first = send(server, workflow, b'[{"a": 1}]', runId="r")
    again = send(server, workflow, b'[{"a": 1}]', runId="r")
    packed = send(server, workflow, gzip.compress(b'[{"a": 1}]'), headers={"content-encoding": "gzip"}, runId="r")
    assert [answer.status for answer in (first, again, packed)] == [201, 200, 200]
    assert first.body == again.body == packed.body
    for other in (
        send(server, workflow, b'[{"a": 2}]', runId="r"),
        send(server, workflow, b'[{"a": 1}]', runId="r", rowId="a"),
        send(server, workflow, b'{"a": 1}', "application/x-ndjson", runId="r"),
    ):
        assert (other.status, other.json()["code"]) == (409, "conflict")
    assert server.download(workflow) == b"a\n1\n"


@pytest.mark.parametrize("kind", ["text/csv; charset=ISO-8859-1", 'text/csv; header=present; charset="latin1"'])
def test_the_charset_of_the_content_type_is_the_encoding(server: Server, workflow: str, kind: str) -> None:
    body = "a\n\u00c3\u00a9\n".encode("latin-1")  # valid UTF-8, but of another text
    assert send(server, workflow, body, kind, runId="r").status == 201
    assert server.download(workflow) == '"a"\n\u00c3\u00a9\n'.encode()
    assert send(server, workflow, body, kind, runId="r").status == 200
    assert send(server, workflow, body, "text/csv; charset=utf-8", runId="r").status == 409


def test_the_parameter_wins_over_the_charset(server: Server, workflow: str) -> None:
    assert send(server, workflow, b"a\n\xc3\xa9\n", "text/csv; charset=latin1", encoding="utf-8").status == 201
    assert server.download(workflow) == '"a"\n\u00e9\n'.encode()


@pytest.mark.parametrize(
    ("body", "option", "named"),
    [
        (b"a,b\n1\n", "--pad-short-rows", "the parameter padShortRows"),
        (b"_a\n1\n", "--rename _a=NEW", "the parameter rename"),
        (b"a,a\n1,2\n", "--rename-duplicates", "the parameter renameDuplicates"),
        (b"a\n\xff\n", "--encoding", "the parameter encoding"),
        (b'[{"a": 1}]', "--format json", "the Content-Type"),
    ],
)
def test_advice_names_its_place_in_a_request(
    server: Server, workflow: str, body: bytes, option: str, named: str
) -> None:
    message = send(server, workflow, body, "text/csv").json()["message"]
    assert option in message
    assert message.endswith(f"Over HTTP, {option.split()[0]} is {named}.")


def test_simultaneous_equal_requests_publish_one_run(server: Server, workflow: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda _: send(server, workflow, b'[{"a": 1}]', runId="r"), range(4))]
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 201]
    assert len({answer.body for answer in answers}) == 1


@any_store
def test_only_publishers_learn_that_another_team_has_the_workflow(server: Server, workflow: str) -> None:
    assert send(server, workflow, b'[{"a": 1}]', runId="r").status == 201
    theirs = send(server, workflow, b'[{"a": 1}]', key=OTHER_PUBLISH_KEY, runId="r2")
    assert (theirs.status, theirs.json()["code"]) == (409, "conflict")
    assert "belongs to another team" in theirs.json()["message"]
    reading = send(server, workflow, b'[{"a": 1}]', key=KEY, runId="r2")
    assert (reading.status, reading.json()["code"]) == (403, "forbidden")
    assert "tailrace keys new --publish" in reading.json()["message"]
    unknown = send(server, "none", b"[]", key=KEY)
    assert [answer.body.partition(b'"requestId"')[0] for answer in (reading, unknown)] == [
        reading.body.partition(b'"requestId"')[0]
    ] * 2


REFUSED: dict[str, tuple[bytes, str, dict[str, Any], int, str]] = {
    "no JSON": (b"[{", "application/json", {}, 400, "body.json"),
    "a value that does not fit": (
        b"a,b\n1,x\nnine,y\n",
        "text/csv",
        {"schema": '[{"name":"a","dataType":"NUMBER"},{"name":"b","dataType":"STRING"}]', "types": "text"},
        400,
        "in row 2 and column 'a': a is NUMBER",
    ),
    "a text that is no UTF-8": (
        parquet(pa.table({"a": pa.array([b"\xff"]).view(pa.string())})),
        "application/vnd.apache.parquet",
        {},
        400,
        "body.parquet, row 1: the column a has text that is not UTF-8",
    ),
    "a Parquet file without columns": (
        parquet(pa.table({})),
        "application/vnd.apache.parquet",
        {},
        400,
        "body.parquet has no columns.",
    ),
    "an unknown row id": (b'[{"a": 1}]', "application/json", {"rowId": "b"}, 400, "'b'"),
    "an unknown parameter": (b'[{"a": 1}]', "application/json", {"runID": "b"}, 400, "runId"),
    "a bad flag": (b'[{"a": 1}]', "application/json", {"padShortRows": "yes"}, 400, "padShortRows"),
    "a bad number": (b'[{"a": 1}]', "application/json", {"skipLines": "-1"}, 400, "skipLines"),
    "a bad character": (b'[{"a": 1}]', "application/json", {"delimiter": "ab"}, 400, "delimiter"),
    "a bad state": (b'[{"a": 1}]', "application/json", {"state": "DONE"}, 400, "state"),
    "a bad time": (b'[{"a": 1}]', "application/json", {"executedAt": "noon"}, 400, "executedAt"),
    "a time beyond all": (b'[{"a": 1}]', "application/json", {"executedAt": "0001-01-01T00:00+14:00"}, 400, "ISO"),
    "a bad rename": (b'[{"a": 1}]', "application/json", {"rename": '["a"]'}, 400, "rename"),
    "a bad schema": (b'[{"a": 1}]', "application/json", {"schema": "{"}, 400, "schema"),
    "a schema of another form": (b'[{"a": 1}]', "application/json", {"schema": "{}"}, 400, "schema"),
    "an empty value": (b'[{"a": 1}]', "application/json", {"rowId": ""}, 400, "rowId"),
    "a bad run id": (b'[{"a": 1}]', "application/json", {"runId": "../x"}, 400, "is not an id"),
    "another kind": (b"<a/>", "application/xml", {}, 415, "Content-Type"),
    "a body that is too long": (b" " * (LIMIT + 1), "application/json", {}, 413, "2,000,000"),
}


@any_store
@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_publication_says_why_and_leaves_nothing(server: Server, workflow: str, name: str) -> None:
    body, content_type, parameters, status, said = REFUSED[name]
    answer = send(server, workflow, body, content_type, **parameters)
    assert (answer.status, said in answer.json()["message"]) == (status, True), answer.body
    assert str(server.folder) not in answer.body.decode()
    assert server.request(f"/v4/workflows/{workflow}", headers={"x-api-key": KEY}).status == 404
    assert spilled(server) == []


@any_store
@pytest.mark.parametrize("extra", [b"", gzip.compress(b" " * 10)], ids=["one member", "two members"])
def test_the_limit_applies_to_decompressed_bodies(server: Server, workflow: str, extra: bytes) -> None:
    bomb = gzip.compress(b" " * (LIMIT * 20)) + extra
    assert len(bomb) < LIMIT / 10
    answer = send(server, workflow, bomb, headers={"content-encoding": "gzip"})
    assert answer.status == 413
    two = gzip.compress(b'[{"a"') + gzip.compress(b": 1}]") + (gzip.compress(b"") if extra else b"")
    assert send(server, workflow, two, headers={"content-encoding": "gzip"}).status == 201


@any_store
@pytest.mark.parametrize("broken", ["cut", "not gzip", "checksum"])
def test_broken_gzip_is_refused(server: Server, workflow: str, broken: str) -> None:
    whole = gzip.compress(json.dumps(ROWS * 1000).encode())
    body = {"cut": whole[:-9], "not gzip": b"[]", "checksum": whole[:-8] + bytes(4) + whole[-4:]}[broken]
    answer = send(server, workflow, body, headers={"content-encoding": "gzip"})
    assert (answer.status, "gzip" in answer.json()["message"]) == (400, True), answer.body
    with pytest.raises((EOFError, zlib.error, gzip.BadGzipFile)):
        gzip.decompress(body)
    assert send(server, workflow, b"[]", headers={"content-encoding": "br"}).status == 415


@any_store
def test_a_content_length_above_the_limit_is_refused_at_once(server: Server, workflow: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", f"/v4/workflows/{workflow}/runs")
    for name, value in (("x-api-key", PUBLISH_KEY), ("content-type", "text/csv"), ("content-length", "999999999999")):
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    connection.close()


def test_a_client_that_disconnects_leaves_nothing(server: Server, workflow: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"POST /v4/workflows/{workflow}/runs HTTP/1.1\r\nhost: x\r\nx-api-key: {PUBLISH_KEY}\r\n"
        connection.sendall(f"{head}content-type: text/csv\r\ncontent-length: 1000000\r\n\r\na,b\n1,2\n".encode())
        until(lambda: spilled(server) != [])
    until(lambda: spilled(server) == [])
    assert server.request(f"/v4/workflows/{workflow}", headers={"x-api-key": KEY}).status == 404


@any_store
def test_the_service_responds_while_bodies_arrive(server: Server, workflow: str) -> None:
    """Each of them occupies a slot, and one team cannot occupy the last of several."""
    connections = []
    head = f"POST /v4/workflows/{workflow}/runs HTTP/1.1\r\nhost: x\r\nx-api-key: {PUBLISH_KEY}\r\n"
    for _ in range(3):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(f"{head}content-type: text/csv\r\ncontent-length: 8\r\n\r\na,".encode())
        connections.append(connection)
    until(lambda: len(spilled(server)) == 1)
    assert server.request("/healthz").status == 200
    other = send(server, f"{workflow}-other", b'[{"a": 1}]', key=OTHER_PUBLISH_KEY)
    assert other.status == 201
    for connection in connections:
        connection.sendall(b"b\n1,2\n")
        assert connection.recv(12) == b"HTTP/1.1 201"
        connection.close()
    assert len(server.request(f"/v4/workflows/{workflow}", headers={"x-api-key": KEY}).json()["runs"]) == 3


def test_a_key_from_a_file_may_publish_if_it_was_created_for_that(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    server = Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_API_KEYS="", TAILRACE_API_KEYS_FILE=str(path))
    reading = server.command("keys", "new", "--team", "acme").stdout.strip()
    publishing = server.command("keys", "new", "--team", "acme", "--publish").stdout.strip()
    with server:
        statuses = [send(server, "w", b'[{"a": 1}]', key=key).status for key in (reading, publishing)]
    assert statuses == [403, 201]
    rows = [line.split("\t") for line in server.command("keys", "list").stdout.splitlines()]
    assert [row[-1] for row in rows] == ["may", "read", "publish"]


def test_a_run_and_a_workflow_are_deleted(server: Server, workflow: str) -> None:
    for run in ("r1", "r2"):
        assert send(server, workflow, b'[{"a": 1}]', runId=run).status == 201
    urls = [server.export(workflow, runId=run).json()["url"] for run in ("r1", "r2")]
    path = f"/v4/workflows/{workflow}"

    def delete(path: str, key: str = PUBLISH_KEY) -> int:
        answer = server.request(path, "DELETE", {"x-api-key": key})
        known = "/v4/workflows/{workflowId}" + ("/runs/{runId}" if "/runs/" in path else "")
        check(DOCUMENT, "delete", known, answer)
        return answer.status

    assert [delete(f"{path}/runs/r2", key) for key in (KEY, OTHER_PUBLISH_KEY)] == [403, 404]
    assert delete(f"{path}/runs/r2?force=true") == 400
    assert [server.request(url).status for url in urls] == [200, 200]
    assert [delete(f"{path}/runs/r2"), delete(f"{path}/runs/r2")] == [204, 404]
    assert [server.request(url).status for url in urls] == [200, 404]
    assert server.export(workflow).json()["runId"] == "r1"
    assert server.export(workflow, runId="r2").status == 404
    assert [delete(path, OTHER_PUBLISH_KEY), delete(path), delete(path)] == [404, 204, 404]
    assert [server.request(url).status for url in urls] == [404, 404]
    assert server.export(workflow).status == 404


def until(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        threading.Event().wait(0.02)
