"""Exports in progress: their status, how long a caller waits, and what a later caller gets."""

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.altered import READ, UNCOMMITTED, AlteredServer
from tests.helpers.server import KEY, Answer

ROWS = 30
_EXPORT = "/v4/workflows/numbers/data/export"


@pytest.fixture(scope="module")
def server(
    module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AlteredServer]:
    with AlteredServer(module_store_url, tmp_path_factory.mktemp("waiting")) as server:
        publish(server, "r1", ROWS)
        yield server
        server.go_on()


def publish(server: AlteredServer, run: str, rows: int) -> None:
    source: Path = server.folder / f"{run}.csv"
    source.write_text("n\n" + "".join(f"{n}\n" for n in range(rows)))
    server.publish("--workflow", "numbers", "--run", run, str(source))


def asked(server: AlteredServer, prefer: str, format_name: str) -> Answer:
    return server.request(f"{_EXPORT}?format={format_name}", headers={"x-api-key": KEY, "prefer": prefer})


def status(server: AlteredServer, answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = server.request(answer.headers["location"], headers={"x-api-key": KEY}).json()
    return body


def finished(server: AlteredServer, answer: Answer) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while "url" not in (body := status(server, answer)):
        assert body["phase"] in ("queued", "running", "done"), body
        assert time.monotonic() < deadline, body
        time.sleep(0.05)
    return body


def exports_made(server: AlteredServer) -> float:
    lines = server.request("/metrics").body.decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("tailrace_exports_total{"))


def test_the_status_has_phase_rows_and_bytes(server: AlteredServer) -> None:
    server.halt_at(UNCOMMITTED)
    answer = asked(server, "respond-async", "json")
    server.wait_until_halted()
    deadline = time.monotonic() + 10
    # The ticket is written once a second.
    while not (body := status(server, answer))["rows"] and time.monotonic() < deadline:
        time.sleep(0.1)
    server.go_on()
    assert (body["phase"], body["rows"]) == ("running", ROWS)
    assert 0 < body["bytes"] == finished(server, answer)["sizeBytes"]


def test_an_export_continues_after_the_wait_of_its_caller(server: AlteredServer) -> None:
    # There a cancel would still be heard.
    server.halt_at(READ)
    started = time.monotonic()
    answer = asked(server, "wait=1", "parquet")
    assert 1 <= time.monotonic() - started < 20
    assert (answer.status, answer.headers["preference-applied"]) == (202, "respond-async, wait=1")
    assert status(server, answer)["phase"] == "running"
    server.go_on()
    assert finished(server, answer)["rowCount"] == ROWS


def test_a_finished_export_is_returned_again_with_a_fresh_url(server: AlteredServer) -> None:
    first = server.export("numbers", filters=[{"field": "n", "operator": "LESS_THAN", "value": 3}]).json()
    made, hour = exports_made(server), timedelta(hours=1)
    server.move_clock(hour)
    again = server.export("numbers", filters=[{"field": "n", "operator": "LESS_THAN", "value": 3}]).json()
    files = [server.request(body["url"]).body for body in (first, again)]
    server.move_clock(timedelta(0))
    assert exports_made(server) == made
    varying = {"url": "", "expiresAt": ""}
    assert again | varying == first | varying
    later = datetime.fromisoformat(again["expiresAt"]) - datetime.fromisoformat(first["expiresAt"])
    assert hour <= later < hour + timedelta(minutes=1)
    assert files == [b"n\n0\n1\n2\n"] * 2


def test_the_same_request_on_another_run_is_another_export(server: AlteredServer) -> None:
    entry = [{"field": "n", "operator": "GREATER_THAN", "value": -1}]
    first = server.export("numbers", filters=entry).json()
    publish(server, "r2", 2)
    second = server.export("numbers", filters=entry).json()
    assert (first["runId"], second["runId"], second["rowCount"]) == ("r1", "r2", 2)
    assert second["exportId"] != first["exportId"]
    assert hashlib.sha256(server.request(second["url"]).body).hexdigest() == second["sha256"]
    # Whoever names the first run still gets the first file.
    named = server.export("numbers", filters=json.dumps(entry), runId="r1").json()
    assert (named["exportId"], named["sha256"]) == (first["exportId"], first["sha256"])
