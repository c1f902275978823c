"""Two replicas on one store, one of them on a machine with a wrong clock: real processes, by libfaketime."""

import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.stores import open_store
from tests.helpers.altered import READ, AlteredServer
from tests.helpers.azurite import Azurite
from tests.helpers.server import KEY, Server
from tests.helpers.skewed import SkewedServer, faketime_library

pytestmark = [
    pytest.mark.azurite,
    pytest.mark.skipif(faketime_library() is None, reason="libfaketime is not installed (apt-get install libfaketime)"),
]

HEADERS = {"x-api-key": KEY}
CONTENT = b"n\n1\n2\n"
_SECONDS = 60
"""A bound of what hangs."""
_TOLERANCE_SECONDS = 3
"""Of a measured difference: requests take time, and Azure's dates have no fraction of a second."""


@pytest.fixture(scope="module")
def right(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlteredServer]:
    """A replica whose clock is right."""
    folder = tmp_path_factory.mktemp("right")
    (folder / "rows.csv").write_bytes(CONTENT)
    store = f"az://test-{uuid.uuid4().hex}/p", {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    with AlteredServer(store, folder) as server:
        server.publish("--workflow", "w", "--run", "r", str(folder / "rows.csv"))
        yield server
        server.go_on()


@contextmanager
def _replica(right: AlteredServer, folder: Path, seconds: int, **settings: str) -> Iterator[SkewedServer]:
    """Another replica, whose clock is that much ahead."""
    location = right.environment["TAILRACE_EXPORTS"].removesuffix("/exports")
    extra = {"AZURE_STORAGE_CONNECTION_STRING": right.environment["AZURE_STORAGE_CONNECTION_STRING"]}
    # Links begin with the address that all replicas have in common.
    with SkewedServer(
        (location, extra), folder, timedelta(seconds=seconds), TAILRACE_BASE_URL=right.base, **settings
    ) as server:
        yield server
        server.go_on()


@pytest.fixture(scope="module", params=[65, -65])
def skewed(
    request: pytest.FixtureRequest, right: AlteredServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SkewedServer, int]]:
    """A replica whose clock is 65 s ahead or behind, and that number."""
    with _replica(right, tmp_path_factory.mktemp("skewed"), request.param) as server:
        yield server, request.param


def _at(server: Server, right: Server, url: str) -> str:
    """The URL at one of the replicas, which a load balancer would have chosen."""
    return url.replace(right.base, server.base)


def _check_said(text: str, seconds: int, store: str) -> None:
    """Check that a message names the difference between the clocks."""
    direction = "ahead of" if seconds > 0 else "behind"
    (measured,) = re.findall(
        rf"clock is ([0-9,]+) seconds {direction} that of the {store} store: correct the one", text
    )
    assert abs(int(measured.replace(",", "")) - abs(seconds)) <= _TOLERANCE_SECONDS


def test_a_replica_with_a_wrong_clock_is_not_ready(right: AlteredServer, skewed: tuple[SkewedServer, int]) -> None:
    server, seconds = skewed
    assert right.request("/readyz").status == 200
    answer = server.request("/readyz")
    state = answer.json()
    _check_said(state.pop("clock"), seconds, "exports")
    assert (answer.status, state) == (503, {"results": "ok", "exports": "ok", "duckdb": "ok"})
    assert any("not ready: clock" in json.dumps(line) for line in server.logged())


def test_each_replica_opens_the_links_of_the_other(right: AlteredServer, skewed: tuple[SkewedServer, int]) -> None:
    server, _ = skewed
    for signing, asked in ((right, server), (server, right)):
        url = signing.export("w").json()["url"]
        answer = asked.request(_at(asked, right, url))
        assert (answer.status, answer.body) == (200, CONTENT)


@pytest.mark.parametrize("where", ["right", "skewed"])
def test_a_running_export_never_looks_interrupted(
    right: AlteredServer, skewed: tuple[SkewedServer, int], where: str
) -> None:
    server, seconds = skewed
    running, other = (right, server) if where == "right" else (server, right)
    # An export that nobody has made before.
    filters = json.dumps(
        [{"field": "n", "operator": "LESS_THAN", "value": seconds + (1000 if where == "right" else 2000)}]
    )
    running.halt_at(READ)
    path = f"/v4/workflows/w/data/export?format=parquet&filters={filters.replace(' ', '').replace(chr(34), '%22')}"
    answer = running.request(path, headers={**HEADERS, "prefer": "respond-async"})
    assert answer.status == 202, answer.body
    running.wait_until_halted()
    location = answer.headers["location"]

    def ask(replica: Server) -> dict[str, Any]:
        body: dict[str, Any] = replica.request(_at(replica, right, location), headers=HEADERS).json()
        return body

    deadline, seen_running = time.monotonic() + _SECONDS, 0
    while seen_running < 5:
        for replica in (other, running):
            body = ask(replica)
            assert body["phase"] in ("queued", "running"), str(body)
        seen_running += body["phase"] == "running"
        assert time.monotonic() < deadline, body
        time.sleep(0.2)
    running.go_on()
    while "url" not in (body := ask(other)):
        assert body["phase"] in ("running", "done"), body
        assert time.monotonic() < deadline, body
        time.sleep(0.05)
    assert hashlib.sha256(right.request(_at(right, right, body["url"])).body).hexdigest() == body["sha256"]


def test_doctor_names_the_difference(skewed: tuple[SkewedServer, int]) -> None:
    server, seconds = skewed
    done = server.command("doctor", "--json")
    found = [finding for finding in json.loads(done.stdout)["findings"] if finding["area"] == "clock"]
    problems = [finding["text"] for finding in found if finding["level"] == "problem"]
    assert done.returncode == 1
    for text, store in zip(problems, ("results", "exports"), strict=True):
        _check_said(f"{text}: correct the one", seconds, store)


@pytest.mark.parametrize("seconds", [-300, 86_400])
def test_a_sweep_on_a_machine_with_a_wrong_clock_removes_nothing(
    right: AlteredServer, tmp_path: Path, seconds: int
) -> None:
    made = right.export("w").json()
    exports = open_store(
        right.environment["TAILRACE_EXPORTS"],
        connection_string=right.environment["AZURE_STORAGE_CONNECTION_STRING"],
    )
    before = {info.key for info in exports.list("w/")}
    location = right.environment["TAILRACE_EXPORTS"].removesuffix("/exports")
    extra = {"AZURE_STORAGE_CONNECTION_STRING": right.environment["AZURE_STORAGE_CONNECTION_STRING"]}
    done = SkewedServer((location, extra), tmp_path, timedelta(seconds=seconds)).command("sweep")
    assert (done.returncode, done.stdout) == (1, "")
    _check_said(done.stderr, seconds, "results")
    assert {info.key for info in exports.list("w/")} == before
    assert right.request(made["url"]).body == CONTENT


def test_redirects_of_a_replica_that_is_six_minutes_behind_open(right: AlteredServer, tmp_path: Path) -> None:
    """By its own clock, the URL of the store would have expired a minute ago, and Azure would answer 403."""
    with _replica(right, tmp_path, -360, TAILRACE_DOWNLOAD_MODE="redirect") as server:
        answer = server.request("/readyz")
        assert answer.status == 503
        _check_said(answer.json()["clock"], -360, "exports")
        url = right.export("w").json()["url"]
        file = server.request(_at(server, right, url))
        assert (file.status, file.body) == (200, CONTENT)
        assert file.headers["server"].startswith("Azurite")
