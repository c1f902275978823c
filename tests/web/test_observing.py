"""What operators see: logs that are facts and no secrets, metrics, and whether the service is ready."""

import hashlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.helpers.server import KEY, OTHER_KEY, SIGNING_SECRET, Server
from tests.web.conftest import publish_people

LATER = {"x-api-key": KEY, "prefer": "respond-async"}
ROUTE = "/v4/workflows/{workflow_id}/data/export"
CALLER = hashlib.sha256(KEY.encode()).hexdigest()[:8]
"""What the log calls a key of the settings."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("observed")
    with Server((str(folder / "store"), {}), folder) as server:
        publish_people(server, folder)
        yield server


def lines(server: Server, **wanted: object) -> list[dict[str, Any]]:
    """The log's lines with these facts, once there are any."""
    for _ in range(500):
        found = [line for line in server.logged() if wanted.items() <= line.items()]
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"no line with {wanted}")


def test_a_request_is_one_line_of_facts(server: Server) -> None:
    answer = server.export("people", format="json")
    (line,) = lines(server, event="request", requestId=answer.headers["x-request-id"])
    body = answer.json()
    assert (
        line.items()
        >= {
            "event": "request",
            "level": "info",
            "route": ROUTE,
            "method": "GET",
            "status": 200,
            "team": "acme",
            "workflow_id": "people",
            "run": "r1",
            "export_id": body["exportId"],
            "format": "json",
            "rows": 3,
            "bytes": body["sizeBytes"],
        }.items()
    )
    assert line["seconds"] > 0
    file = server.request(body["url"])
    (line,) = lines(server, requestId=file.headers["x-request-id"])
    assert (line["status"], line["sent"], line["export_id"]) == (200, body["sizeBytes"], body["exportId"])


def test_an_export_is_one_line_whoever_asked_for_it(server: Server) -> None:
    answer = server.request("/v4/workflows/people/data/export?sortBy=age&format=parquet", headers=LATER)
    export_id = answer.headers["location"].split("/")[-2]
    (line,) = lines(server, event="export", export_id=export_id)
    told = {"team": "acme", "workflow_id": "people", "run": "r1", "format": "parquet", "rows": 3, "outcome": "done"}
    assert line.items() >= told.items()
    assert line["bytes"] > 0
    assert line["running"] > 0
    assert line["queued"] >= 0


def test_whatever_belongs_to_a_team_is_told_with_who_asked(server: Server) -> None:
    export_id = server.export("people").json()["exportId"]
    below = "/v4/workflows/people/data"
    headers = {"x-api-key": KEY, "content-type": "application/json", "accept": "application/json, text/event-stream"}
    listed = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    for path, method, body in (
        ("/v4/workflows", "GET", None),
        ("/v4/workflows/people", "GET", None),
        (below, "GET", None),
        (f"{below}/column?field=age", "GET", None),
        (f"{below}/query", "POST", b'{"sql":"FROM data"}'),
        (f"{below}/export", "GET", None),
        (f"{below}/exports/{export_id}", "GET", None),
        (f"{below}/exports/{export_id}", "HEAD", None),
        (f"{below}/exports/{export_id}/status", "GET", None),
        (f"{below}/exports/{export_id}/status", "DELETE", None),
        ("/mcp", "POST", listed),
    ):
        answer = server.request(path, method, headers, body)
        # A finished export cannot be cancelled.
        assert answer.status == (409 if method == "DELETE" else 200), (path, answer.body)
        (line,) = lines(server, event="request", requestId=answer.headers["x-request-id"])
        assert (line["team"], line["caller"]) == ("acme", CALLER), path


def test_a_signed_download_is_told_with_the_key_that_signed_it(server: Server) -> None:
    body = server.export("people").json()
    answer = server.request(body["url"])
    (line,) = lines(server, event="request", requestId=answer.headers["x-request-id"])
    told = {"workflow_id": "people", "export_id": body["exportId"], "kid": "k1", "status": 200, "method": "GET"}
    assert line.items() >= told.items()
    assert "caller" not in line


@pytest.mark.parametrize("headers", [{"x-api-key": KEY}, LATER], ids=["waited for", "later"])
def test_an_export_is_told_with_who_asked_first(server: Server, headers: dict[str, str]) -> None:
    query = f"rowIds=none-of-{len(headers)}"
    answer = server.request(f"/v4/workflows/people/data/export?{query}", headers=headers)
    (line,) = lines(server, event="export", requestId=answer.headers["x-request-id"])
    assert (line["team"], line["caller"], line["outcome"]) == ("acme", CALLER, "done")


def test_nothing_secret_is_ever_logged(server: Server) -> None:
    filters = [{"field": "name", "operator": "NOT_EQUALS", "value": "a-secret-value"}]
    url = server.export("people", filters=filters).json()["url"]
    signature = dict(parse_qsl(urlsplit(url).query))["sig"]
    server.request(url)
    server.request(url[:-1])
    server.request(url.replace("/people/", "/a-guessed-name;x/"))
    server.export("people", "a-wrong-key", rowIds="a-secret-row")
    server.request(f"{ROUTE}?filters=a-secret-query", headers={"authorization": "Bearer a-secret-token"})
    server.request("/v4/workflows/people/data/export", "POST", {"x-api-key": KEY}, b'{"rowIds": ["a-secret-body"]}')
    last = server.request("/healthz/nothing").headers["x-request-id"]
    lines(server, requestId=last)
    log = server.log.read_text()
    for secret in (KEY, OTHER_KEY, SIGNING_SECRET, signature, "a-secret", "a-wrong", "a-guessed", "Bearer", "Zürich"):
        assert secret not in log


class Broken(Server):
    """A service in which DuckDB fails over a value."""

    program = (
        "import duckdb; from engine.exports.exporter import Exporter; from web.cli import main; "
        "Exporter.plan = lambda *_: duckdb.sql(\"SELECT CAST('bob@example.com' AS INT)\").fetchall(); main()"
    )


def test_a_failure_of_ours_is_told_without_the_value(tmp_path: Path) -> None:
    with Broken((str(tmp_path / "store"), {}), tmp_path) as server:
        answer = server.request("/v4/workflows/people/data/export", headers={"x-api-key": KEY, "origin": "http://x"})
        assert (answer.status, answer.json()["code"]) == (500, "internal_error")
        request_id = answer.headers["x-request-id"]
        assert answer.headers["access-control-allow-origin"] == "*"
        (line,) = lines(server, event="failed", requestId=request_id)
        assert "ConversionException" in line["stack"]
        (line,) = lines(server, event="request", requestId=request_id)
        assert (line["status"], line["code"]) == (500, "internal_error")
        metrics = server.request("/metrics").body.decode()
    assert f'tailrace_requests_total{{method="GET",route="{ROUTE}",status="500"}} 1.0' in metrics
    # uvicorn does not log it again.
    assert [line["event"] for line in server.logged() if "stack" in line] == ["failed"]
    assert "bob@" not in server.log.read_text()


class BrokenExport(Server):
    """A service in which DuckDB fails over a value while an export runs."""

    program = (
        "import duckdb; from engine.exports.exporter import Exporter; from web.cli import main; "
        "Exporter.export = lambda *_, **__: duckdb.sql(\"SELECT CAST('bob@example.com' AS INT)\").fetchall(); main()"
    )


def test_a_failure_of_an_export_is_told_once_whether_or_not_its_caller_waits(tmp_path: Path) -> None:
    with BrokenExport((str(tmp_path / "store"), {}), tmp_path) as server:
        publish_people(server, tmp_path)
        for prefer, status in (("respond-async", 202), ("wait=100", 500)):
            headers = {"x-api-key": KEY, "prefer": prefer}
            path = f"/v4/workflows/people/data/export?format={'json' if status == 202 else 'csv'}"
            answer = server.request(path, headers=headers)
            assert answer.status == status, answer.body
            (line,) = lines(server, event="failed", requestId=answer.headers["x-request-id"])
            assert "ConversionException" in line["stack"]
    assert [line["event"] for line in server.logged() if "stack" in line] == ["failed", "failed"]
    assert "bob@" not in server.log.read_text()


def test_an_error_is_told_by_its_code(server: Server) -> None:
    answer = server.export("people", sortBy="nothing")
    (line,) = lines(server, requestId=answer.headers["x-request-id"])
    assert (line["status"], line["code"], line["team"]) == (400, "invalid_parameter", "acme")


def test_hostile_ids_cannot_forge_a_line(server: Server) -> None:
    before = len(server.logged())
    path = "/v4/workflows/x%0A%7B%22event%22:%22forged%22%7D/data/export"
    answer = server.request(path, headers={"x-api-key": KEY})
    # The line comes after the answer, and an earlier 404 would not be it.
    lines(server, status=404, requestId=answer.headers["x-request-id"])
    after = server.logged()[before:]
    assert [line["event"] for line in after] == ["request"]
    assert "workflow_id" not in after[0]


@pytest.fixture(scope="module")
def behind_proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that trusts this machine and a network."""
    folder = tmp_path_factory.mktemp("proxied")
    with Server((str(folder / "store"), {}), folder, TAILRACE_TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8") as server:
        yield server


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (None, "127.0.0.1"),
        ("203.0.113.9", "203.0.113.9"),
        # The proxy adds what it sees behind what the client had sent.
        ("192.0.2.1, 203.0.113.9", "203.0.113.9"),
        ("192.0.2.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:DB8::1]:4711", "2001:db8::1"),
        ('unknown" forged', None),
    ],
)
def test_a_trusted_proxy_gives_the_address_of_the_client(
    behind_proxies: Server, forwarded: str | None, client: str | None
) -> None:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    answer = behind_proxies.request("/nowhere", headers=headers)
    (line,) = lines(behind_proxies, event="request", requestId=answer.headers["x-request-id"])
    assert line.get("client") == client


def test_without_a_setting_nobody_may_give_another_address(server: Server) -> None:
    answer = server.request("/nowhere", headers={"x-forwarded-for": "203.0.113.9"})
    (line,) = lines(server, event="request", requestId=answer.headers["x-request-id"])
    assert line["client"] == "127.0.0.1"


def test_metrics_count_what_happened(server: Server) -> None:
    requests = ("tailrace_requests_total", {"route": ROUTE, "method": "POST", "status": "405"})
    assert server.metric("tailrace_exports_running") == 0
    before = server.metric("tailrace_exports_total", format="csv", outcome="done")
    rows = server.metric("tailrace_export_rows_total", format="csv")
    body = server.export("people", filters=[{"field": "age", "operator": "EQUALS", "value": 7}]).json()
    assert server.metric("tailrace_exports_total", format="csv", outcome="done") == before + 1
    assert server.metric("tailrace_export_rows_total", format="csv") == rows + body["rowCount"] == rows + 1
    # The same again is answered from the object, and counts as a request alone.
    server.export("people", filters=[{"field": "age", "operator": "EQUALS", "value": 7}])
    assert server.metric("tailrace_exports_total", format="csv", outcome="done") == before + 1
    assert server.metric(requests[0], **requests[1]) == 0
    server.request("/v4/workflows/people/data/export", "TEAPOT")
    assert server.metric("tailrace_requests_total", route=ROUTE, method="other", status="405") == 1
    assert "TEAPOT" not in server.request("/metrics").body.decode()


def test_ready_says_what_does_not_answer(tmp_path: Path) -> None:
    with Server((str(tmp_path / "store"), {}), tmp_path) as server:
        publish_people(server, tmp_path)
        assert (server.request("/readyz").status, server.request("/readyz").json()["exports"]) == (200, "ok")
        shutil.rmtree(tmp_path / "store" / "results")
        (tmp_path / "store" / "results").write_text("in the way")
        answer = server.request("/readyz")
        assert (answer.status, answer.json()["results"]) == (503, "unavailable")
        assert server.request("/healthz").status == 200
