"""A service that is about to stop: it says so while it still answers, and a second signal ends that."""

import http.client
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.altered import BEGUN, AlteredServer
from tests.helpers.server import KEY, Answer, Asked
from tests.web.conftest import publish_people

_FOREVER = "100000"
_SECONDS = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AlteredServer]:
    with AlteredServer((str(tmp_path / "store"), {}), tmp_path, TAILRACE_DRAIN_SECONDS=_FOREVER) as server:
        publish_people(server, tmp_path)
        yield server
        server.stop(signal.SIGKILL)


def wait_until_draining(server: AlteredServer) -> Answer:
    """Wait until the service is not ready; returns how it says so."""
    deadline = time.monotonic() + _SECONDS
    while (answer := server.request("/readyz")).status == 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return answer


def test_a_draining_service_answers_and_closes_each_connection(server: AlteredServer) -> None:
    server.halt_at(BEGUN)
    under_way = Asked(lambda: server.export("people", sortBy="name"))
    server.wait_until_halted()
    idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_SECONDS)
    idle.request("GET", "/healthz")
    first = idle.getresponse()
    assert (first.read(), first.getheader("connection")) == (b"ok\n", None)
    os.kill(server.pid, signal.SIGTERM)
    answer = wait_until_draining(server)
    assert (answer.status, answer.json()) == (503, {"service": "draining"})
    # A connection from before is used once more, and new ones are accepted.
    idle.request("GET", "/v4/workflows/people", headers={"x-api-key": KEY})
    last = idle.getresponse()
    assert (last.status, last.getheader("connection")) == (200, "close")
    last.read()
    idle.close()
    server.go_on()
    for made in (under_way.answer(), server.export("people")):
        assert (made.status, made.headers["connection"]) == (200, "close")
        file = server.request(made.json()["url"])
        assert (file.status, file.headers["connection"]) == (200, "close")
    assert server.request("/healthz").status == 200


@pytest.mark.parametrize("signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_a_second_signal_ends_the_drain_but_not_what_runs(
    server: AlteredServer, signals: tuple[signal.Signals, signal.Signals]
) -> None:
    server.halt_at(BEGUN)
    under_way = Asked(lambda: server.export("people"))
    server.wait_until_halted()
    os.kill(server.pid, signals[0])
    wait_until_draining(server)
    os.kill(server.pid, signals[1])
    deadline = time.monotonic() + _SECONDS
    while accepts(server):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not under_way.answered
    server.go_on()
    assert under_way.answer().status == 200


def accepts(server: AlteredServer) -> bool:
    """Whether the service accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=_SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


def test_ctrl_c_does_not_drain(server: AlteredServer) -> None:
    # The drain would take longer than a stop may.
    server.stop(signal.SIGINT)
    assert [line["event"] for line in server.logged() if line["event"] == "draining"] == []
