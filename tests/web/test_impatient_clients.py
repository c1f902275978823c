"""Clients that disconnect from a long export and retry: it continues, unless another export needs its place."""

import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.altered import BEGUN, AlteredServer
from tests.helpers.server import KEY, OTHER_KEY, Answer

ROWS = 100
_EXPORT = "/v4/workflows/numbers/data/export"
_DEADLINE_SECONDS = 60


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[AlteredServer]:
    settings = {"TAILRACE_MAX_CONCURRENT_EXPORTS": "1", "TAILRACE_EXPORT_QUEUE_SIZE": "2"}
    seconds = getattr(request, "param", "300")
    with AlteredServer(
        (str(tmp_path / "store"), {}), tmp_path, **settings, TAILRACE_ABANDONED_SECONDS=seconds
    ) as server:
        (tmp_path / "rows.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(ROWS)))
        for team, workflow in (("acme", "numbers"), ("rival", "theirs")):
            server.publish("--workflow", workflow, "--run", "r", str(tmp_path / "rows.csv"), team=team)
        yield server
        server.go_on()


def give_up(server: AlteredServer, query: str, after: float = 0.5) -> None:
    """Request an export, and disconnect."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=after)
    connection.request("GET", f"{_EXPORT}?{query}", headers={"x-api-key": KEY})
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def ask(server: AlteredServer, query: str, key: str = KEY, workflow: str = "numbers") -> Answer:
    return server.request(f"/v4/workflows/{workflow}/data/export?{query}", headers={"x-api-key": key})


def outcomes(server: AlteredServer) -> list[str]:
    return [line["outcome"] for line in server.logged() if line["event"] == "export"]


def wait_for_outcomes(server: AlteredServer, expected: list[str]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while outcomes(server) != expected:
        assert time.monotonic() < deadline, outcomes(server)
        time.sleep(0.05)


def test_a_client_that_retries_ten_times_gets_the_file_of_the_first_attempt(server: AlteredServer) -> None:
    server.halt_at(BEGUN)
    for _ in range(9):
        give_up(server, "format=json")
    server.go_on()
    answer = ask(server, "format=json").json()
    assert server.request(answer["url"]).json() == [{"n": n} for n in range(ROWS)]
    wait_for_outcomes(server, ["done"])


def test_an_abandoned_export_continues_to_its_end(server: AlteredServer) -> None:
    server.halt_at(BEGUN)
    give_up(server, "format=json")
    server.go_on()
    wait_for_outcomes(server, ["done"])
    assert ask(server, "format=json").status == 200
    assert outcomes(server) == ["done"]


@pytest.mark.parametrize("server", ["2"], indirect=True)
def test_an_abandoned_export_is_cancelled_after_its_time(server: AlteredServer) -> None:
    server.halt_at(BEGUN)
    give_up(server, "format=json")
    # Interest in between begins the time anew.
    for _ in range(4):
        give_up(server, "format=json", after=1)
    assert outcomes(server) == []
    time.sleep(2.5)
    server.go_on()
    wait_for_outcomes(server, ["cancelled"])


@pytest.mark.parametrize(("key", "workflow"), [(KEY, "numbers"), (OTHER_KEY, "theirs")])
def test_an_abandoned_export_is_cancelled_for_another_one(server: AlteredServer, key: str, workflow: str) -> None:
    server.halt_at(BEGUN)
    give_up(server, "format=json")
    server.wait_until_halted()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, server, "format=parquet", key, workflow)
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while b"\ntailrace_exports_queued 1.0" not in server.request("/metrics").body:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.go_on()
        assert answer.result().status == 200
    wait_for_outcomes(server, ["cancelled", "done"])


def test_abandoned_exports_in_the_queue_do_not_block_others(server: AlteredServer) -> None:
    server.halt_at(BEGUN)
    location = server.request(_EXPORT, headers={"x-api-key": KEY, "prefer": "respond-async"}).headers["location"]
    server.wait_until_halted()
    # One team may have one of the two places in the queue.
    give_up(server, "format=json")
    answer = server.request(f"{_EXPORT}?format=parquet", headers={"x-api-key": KEY, "prefer": "respond-async"})
    assert answer.status == 202
    refused = ask(server, "format=json")
    assert (refused.status, refused.json()["code"]) == (503, "busy")
    server.go_on()
    for url in (location, answer.headers["location"]):
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while "url" not in server.request(url, headers={"x-api-key": KEY}).json():
            assert time.monotonic() < deadline
            time.sleep(0.05)
