"""Who may read, by which token, and what happens when the service is full or a client gives up."""

import http.client
import json
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.delta_sharing.conftest import file_of
from tests.helpers.altered import BEGUN, AlteredServer
from tests.helpers.server import KEY, TEAM, Answer, Server

_SECRET = "a-secret-of-32-bytes-or-more-for-tokens"
_TABLE = "/delta-sharing/shares/acme/schemas/default/tables/w"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Keys in a file, tokens, and a quota that is full."""
    folder = tmp_path_factory.mktemp("profiles")
    settings = {
        "TAILRACE_API_KEYS": "",
        "TAILRACE_API_KEYS_FILE": str(folder / "keys.jsonl"),
        "TAILRACE_JWT_SECRET": _SECRET,
        "TAILRACE_JWT_AUDIENCE": "exports",
        "TAILRACE_TEAM_EXPORTS_LIMIT": "0MB",
    }
    (folder / "rows.csv").write_text("n\n1\n")
    server = Server((str(folder / "store"), {}), folder, **settings)
    server.publish("--workflow", "w", "--run", "r", str(folder / "rows.csv"))
    server.command("keys", "new", "--team", "rival")
    with server:
        yield server


def share(server: Server, *arguments: str) -> tuple[Path, dict[str, Any]]:
    """What ``tailrace keys share`` has written."""
    done = server.command("keys", "share", "--team", TEAM, *arguments)
    assert done.returncode == 0, done.stderr
    path = server.folder / done.stdout.strip()
    profile: dict[str, Any] = json.loads(path.read_text())
    return path, profile


def test_a_profile_opens_the_share_within_a_second(server: Server) -> None:
    path, profile = share(server, "--days", "90")
    assert path.name == "acme.share"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(profile) == ["shareCredentialsVersion", "endpoint", "bearerToken", "expirationTime"]
    assert (profile["shareCredentialsVersion"], profile["endpoint"]) == (1, f"{server.base}/delta-sharing/")
    left = datetime.fromisoformat(profile["expirationTime"]) - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < left < timedelta(days=90)
    until = time.monotonic() + 10
    while (answer := server.request("/delta-sharing/shares", headers=bearer(profile["bearerToken"]))).status != 200:
        assert (answer.status, time.monotonic() < until) == (401, True)
        time.sleep(0.1)
    assert answer.json()["items"] == [{"name": "acme", "displayName": "acme"}]
    # The key is a key like any other: as x-api-key it reads, too, and it publishes nothing.
    key = {"x-api-key": profile["bearerToken"]}
    assert server.request("/v4/workflows/w", headers=key).status == 200
    assert server.request("/v4/workflows/w", "DELETE", key).status == 403
    assert profile["bearerToken"] not in server.log.read_text()


def test_a_key_is_a_bearer_token_only_for_delta_sharing(server: Server) -> None:
    _, profile = share(server, "-o", "other.share")
    assert "expirationTime" not in profile
    assert server.request("/v4/workflows/w", headers=bearer(profile["bearerToken"])).status == 401


def test_an_existing_profile_is_not_replaced_and_no_key_is_added(server: Server) -> None:
    there = server.folder / "there.share"
    there.write_text("mine")
    keys = server.command("keys", "list").stdout
    done = server.command("keys", "share", "--team", TEAM, "-o", "there.share")
    assert done.returncode == 1
    assert "there.share exists" in done.stderr
    assert there.read_text() == "mine"
    assert server.command("keys", "list").stdout == keys


def test_a_token_is_a_bearer_token(server: Server) -> None:
    now = int(datetime.now(UTC).timestamp())
    claims: dict[str, Any] = {"team": TEAM, "sub": "someone", "iat": now, "exp": now + 60, "aud": "exports"}
    for changes, status in (({}, 200), ({"team": "rival"}, 404), ({"aud": "x"}, 401), ({"exp": 1}, 401)):
        token = jwt.encode({"alg": "HS256"}, {**claims, **changes}, OctKey.import_key(_SECRET))
        assert server.request(f"{_TABLE}/metadata", headers=bearer(token)).status == status


def test_a_query_counts_towards_the_quota_of_the_team(server: Server) -> None:
    now = int(datetime.now(UTC).timestamp())
    claims = {"team": TEAM, "sub": "someone", "iat": now, "exp": now + 60, "aud": "exports"}
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(_SECRET))
    answer = server.request(f"{_TABLE}/query", "POST", bearer(token), b"{}")
    assert (answer.status, answer.json()["errorCode"]) == (429, "RESOURCE_EXHAUSTED")
    assert int(answer.headers["retry-after"]) > 0


@pytest.fixture
def altered(tmp_path: Path) -> Iterator[AlteredServer]:
    """A service of one slot and one place in the queue, in which an export can be halted."""
    settings = {"TAILRACE_MAX_CONCURRENT_EXPORTS": "1", "TAILRACE_EXPORT_QUEUE_SIZE": "1"}
    (tmp_path / "rows.csv").write_text("n\n1\n")
    with AlteredServer((str(tmp_path / "store"), {}), tmp_path, **settings, TAILRACE_ABANDONED_SECONDS="300") as server:
        for workflow in ("w", "v", "u"):
            server.publish("--workflow", workflow, "--run", "r", str(tmp_path / "rows.csv"))
        yield server
        server.go_on()


def query(server: Server, table: str = "w") -> Answer:
    path = f"{_TABLE.removesuffix('w')}{table}/query"
    return server.request(path, "POST", bearer(KEY), b"{}")


def give_up(server: Server) -> None:
    """Send a query, and disconnect before its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.5)
    connection.request("POST", f"{_TABLE}/query", b"{}", bearer(KEY))
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def test_a_client_that_gives_up_gets_the_file_by_asking_again(altered: AlteredServer) -> None:
    altered.halt_at(BEGUN)
    for _ in range(3):
        give_up(altered)
    altered.wait_until_halted()
    altered.go_on()
    assert altered.request(file_of(query(altered))["url"]).status == 200
    assert [line["outcome"] for line in altered.logged() if line["event"] == "export"] == ["done"]
    route = "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/query"
    assert altered.metric("tailrace_requests_total", route=route, status="200") == 1


def test_a_full_service_answers_503_with_retry_after(altered: AlteredServer) -> None:
    altered.halt_at(BEGUN)
    later = {"x-api-key": KEY, "prefer": "respond-async"}
    for workflow in ("w", "v"):
        started = altered.request(f"/v4/workflows/{workflow}/data/export?format=parquet", headers=later)
        assert started.status == 202
        altered.wait_until_halted()
    answer = query(altered, "u")
    assert (answer.status, answer.json()["errorCode"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0
