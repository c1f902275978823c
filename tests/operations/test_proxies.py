"""The nginx and the Caddy that operators deploy, with TLS, in front of two replicas."""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.helpers.deployed import DeployedProxy, available
from tests.helpers.server import KEY, PUBLISH_KEY, Server
from tests.helpers.statements import until

_KEY = {"x-api-key": KEY}
ROWS = 3000
_EXPORT = "/v4/workflows/w/data/export"


@dataclass(frozen=True)
class Site:
    """Two replicas and the proxy in front of them."""

    replicas: tuple[Server, Server]
    proxy: DeployedProxy

    def client(self, address: str = "127.0.0.1") -> httpx2.Client:
        """A client that connects from an address of this machine."""
        transport = httpx2.HTTPTransport(verify=self.proxy.trust, local_address=address)
        return httpx2.Client(base_url=self.proxy.base, transport=transport, timeout=120)


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if reason := available(request.param):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("site")
    folders = [folder / name for name in ("first", "second", "proxy")]
    for one in folders:
        one.mkdir()
    first, second = (Server((str(folder / "store"), {}), one) for one in folders[:2])
    proxy = DeployedProxy(request.param, folders[2], (first.port, second.port))
    for server in (first, second):
        server.environment |= {"TAILRACE_BASE_URL": proxy.base, "TAILRACE_TRUSTED_PROXIES": "127.0.0.1"}
    (folder / "rows.csv").write_text("id,n\n" + "".join(f"row-{n},{n}\n" for n in range(ROWS)))
    first.publish("--workflow", "w", "--run", "r", "--row-id", "id", str(folder / "rows.csv"))
    with first, second, proxy:
        yield Site((first, second), proxy)


def _exported(client: httpx2.Client, **parameters: str) -> httpx2.Response:
    return client.get(_EXPORT, params=parameters, headers=_KEY)


def test_a_query_as_long_as_the_service_takes_passes(site: Site) -> None:
    ids = ",".join(f"row-{n}" for n in range(ROWS))[:31_000].rpartition(",")[0]
    with site.client() as client:
        answer = _exported(client, rowIds=ids)
        assert (answer.status_code, answer.json()["rowCount"]) == (200, ids.count(",") + 1)


def test_downloads_keep_their_strong_etag_and_ranges(site: Site) -> None:
    with site.client() as client:
        url = _exported(client).json()["url"]
        assert url.startswith(site.proxy.base)
        answer = client.get(url, headers={"accept-encoding": "gzip, zstd, br"})
        assert answer.headers.get("content-encoding") is None
        tag = answer.headers["etag"]
        assert not tag.startswith("W/")
        direct = site.replicas[0].request(url.replace(site.proxy.base, site.replicas[0].base))
        assert (direct.headers["etag"], direct.body) == (tag, answer.content)
        part = client.get(url, headers={"range": "bytes=5-9", "if-range": tag})
        assert (part.status_code, part.content) == (206, answer.content[5:10])


def test_bodies_of_publishes_pass_and_others_end_at_8_mib(site: Site, tmp_path: Path) -> None:
    headers = {"x-api-key": PUBLISH_KEY, "content-type": "text/csv"}
    # More than the 8 MiB that other requests may send.
    body = b"text\n" + b"0123456789abcde\n" * 600_000
    with site.client() as client:
        made = client.post("/v4/workflows/large/runs", params={"runId": "r"}, headers=headers, content=body)
        assert made.status_code == 201, made.text
        refused = client.post(_EXPORT, headers={**_KEY, "content-type": "application/json"}, content=b" " * 9_000_000)
        assert refused.status_code == 413


def test_asynchronous_exports_are_followed_at_the_public_address(site: Site) -> None:
    with site.client() as client:
        answer = client.get(_EXPORT, params={"format": "json"}, headers={**_KEY, "prefer": "respond-async"})
        location = answer.headers["location"]
        assert (answer.status_code, location.startswith(site.proxy.base)) == (202, True)
        deadline = time.monotonic() + 60
        while "url" not in (status := client.get(location, headers=_KEY).json()):
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
        assert len(client.get(status["url"]).json()) == ROWS


def test_metrics_and_health_are_for_this_machine(site: Site) -> None:
    for path in ("/metrics", "/healthz", "/readyz"):
        with site.client() as near, site.client("127.0.0.2") as far:
            assert (near.get(path).status_code, far.get(path).status_code) == (200, 403), path


def test_plain_http_leads_to_https(site: Site) -> None:
    with httpx2.Client() as client:
        answer = client.get(f"{site.proxy.plain_base}/v4/workflows", headers={"host": "127.0.0.1"})
        assert answer.status_code == 308
        assert answer.headers["location"].startswith("https://127.0.0.1")


def test_the_log_has_no_signature_and_no_key(site: Site) -> None:
    with site.client() as client:
        url = _exported(client, format="parquet").json()["url"]
        assert client.get(url, headers={"referer": url, "authorization": "Bearer not-a-token"}).status_code == 200
        path, signature = urlsplit(url).path, dict(httpx2.QueryParams(urlsplit(url).query))["sig"]
        deadline = time.monotonic() + 30
        while path not in (log := site.proxy.access_log):
            assert time.monotonic() < deadline, log
            time.sleep(0.05)
    for secret in (signature, KEY, "not-a-token", "sig="):
        assert secret not in log


def test_the_service_logs_the_address_of_the_client_whatever_it_says(site: Site) -> None:
    path = "/v4/workflows/w"
    with site.client("127.0.0.2") as client:
        headers = {**_KEY, "x-request-id": "who-asks", "x-forwarded-for": "203.0.113.9"}
        assert client.get(path, headers=headers).status_code == 200

    def clients() -> list[str]:
        logged = (line for replica in site.replicas for line in replica.logged())
        return [line["client"] for line in logged if line.get("requestId") == "who-asks"]

    # The line is written after the answer.
    assert until(lambda: bool(clients()))
    assert clients() == ["127.0.0.2"]


def test_a_killed_replica_costs_no_request(site: Site) -> None:
    first, _ = site.replicas
    with site.client() as client:
        # Each replica has answered.
        seen = {client.get("/v4/workflows", headers=_KEY).status_code for _ in range(4)}
        first.stop(signal.SIGKILL)
        try:
            seen |= {_exported(client, filters=_below(n)).status_code for n in range(10)}
        finally:
            first.start()
    assert seen == {200}


def _below(number: int) -> str:
    return json.dumps([{"field": "n", "operator": "LESS_THAN", "value": number}])
