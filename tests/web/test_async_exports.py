"""Asynchronous exports: a status that any process reads, an end by DELETE, and the same body in the end."""

import json
import re
import signal
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.common.progress import Phase
from engine.exports.status import ExportStatusStore
from engine.stores import open_store
from engine.stores.port import ObjectStore
from tests.helpers.running import wait_for
from tests.helpers.server import KEY, OTHER_KEY, Answer, Server

EXPORT = "/v4/workflows/numbers/data/export"
ROWS = 400_000


@pytest.fixture(scope="module")
def server(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("async")
    path = folder / "numbers.parquet"
    pq.write_table(pa.table({"n": range(ROWS), "text": [f"row {n * 7919 % ROWS}" for n in range(ROWS)]}), path)
    with Server(module_store_url, folder, TAILRACE_MAX_CONCURRENT_EXPORTS="1") as server:
        server.publish("--workflow", "numbers", "--run", "r", str(path))
        yield server


def ask(server: Server, prefer: str, **parameters: str) -> Answer:
    path = f"{EXPORT}?{urlencode(parameters)}"
    return server.request(path, headers={"x-api-key": KEY, "prefer": prefer})


def status(server: Server, url: str, key: str = KEY, method: str = "GET") -> Answer:
    return server.request(url, method, headers={"x-api-key": key})


def finished(server: Server, url: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = status(server, url)
        assert answer.status == 200, answer.body
        body: dict[str, Any] = answer.json()
        if "url" in body or body["phase"] in ("failed", "cancelled"):
            return body
        assert (body["phase"] in ("queued", "running"), answer.headers["retry-after"]) == (True, "1")
        time.sleep(0.05)
    raise TimeoutError


def phase_of_ticket(store: ObjectStore, export_id: str) -> Phase | None:
    status = ExportStatusStore(store).find("numbers", export_id)
    return status.phase if status else None


def above(n: int) -> str:
    return json.dumps([{"field": "n", "operator": "GREATER_THAN", "value": n}])


def test_a_ticket_leads_to_the_same_body_as_the_200(server: Server) -> None:
    answer = ask(server, "respond-async", sortBy="text")
    assert (answer.status, answer.headers["preference-applied"]) == (202, "respond-async")
    status = answer.json()
    assert answer.headers["location"] == f"{server.base}/v4/workflows/numbers/data/exports/{status['exportId']}/status"
    assert status["phase"] in ("queued", "running")
    body = finished(server, answer.headers["location"])
    synchronous = server.export("numbers", sortBy="text").json()
    varying = {"url": "", "expiresAt": ""}
    assert body | varying == synchronous | varying
    assert body["rowCount"] == ROWS
    assert len(server.request(body["url"]).body) == body["sizeBytes"]


@pytest.mark.parametrize("format_name", ["csv", "json"])
def test_a_ticket_whose_file_is_gone_leads_to_nothing(server: Server, format_name: str) -> None:
    url = ask(server, "respond-async", format=format_name, filters=above(ROWS - 3)).headers["location"]
    made = finished(server, url)
    store = open_store(
        server.environment["TAILRACE_EXPORTS"],
        connection_string=server.environment.get("AZURE_STORAGE_CONNECTION_STRING"),
    )
    # The file is there a moment before the status's last word; a sweep comes hours after both.
    wait_for(lambda: phase_of_ticket(store, made["exportId"]) is Phase.DONE)
    # What a sweep does once the file has expired; the status stays for a day.
    assert store.delete(f"numbers/{made['exportId']}.{format_name}")
    answer = status(server, url)
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    # And it is made anew for whoever asks again.
    again = ask(server, "respond-async", format=format_name, filters=above(ROWS - 3))
    assert finished(server, again.headers["location"])["sha256"] == made["sha256"]


def test_what_is_there_already_is_done_at_once(server: Server) -> None:
    server.export("numbers", filters=above(100))
    waited = ask(server, "respond-async, wait=5", filters=above(100))
    assert (waited.status, waited.json()["rowCount"]) == (200, ROWS - 101)
    at_once = ask(server, "respond-async", filters=above(100))
    assert (at_once.status, at_once.json()["phase"]) == (202, "done")
    assert finished(server, at_once.headers["location"])["rowCount"] == ROWS - 101


def test_a_caller_may_wait_first(server: Server) -> None:
    answer = ask(server, "wait=60", filters=above(200), format="json")
    assert (answer.status, answer.json()["rowCount"]) == (200, ROWS - 201)


def test_the_status_outlives_the_process(server: Server) -> None:
    location = ask(server, "respond-async", filters=above(300), includeRowIds="true").headers["location"]
    before = finished(server, location)
    server.stop(signal.SIGTERM)
    server.start()
    after = status(server, location).json()
    assert after["schema"][0] == {"name": "_row_id", "type": "STRING"}
    varying = {"url": "", "expiresAt": ""}
    assert after | varying == before | varying


def test_delete_ends_it_and_leaves_no_file(server: Server) -> None:
    # The first takes the only place, so that the second waits in the queue.
    first = ask(server, "respond-async", sortBy="text", order="desc", format="json")
    second = ask(server, "respond-async", sortBy="text", order="desc", format="parquet")
    ended = status(server, second.headers["location"], method="DELETE")
    assert ended.status in (200, 202)
    # A finished export cannot be cancelled.
    assert status(server, first.headers["location"], method="DELETE").status in (202, 409)
    for answer in (first, second):
        body = finished(server, answer.headers["location"])
        # Whoever was faster, it is one of the two, and it stays so.
        assert ("url" in body) != (body.get("phase") == "cancelled")
        again = status(server, answer.headers["location"], method="DELETE")
        assert again.status == (409 if "url" in body else 200)
    assert "url" not in finished(server, second.headers["location"])
    # Nothing of it is in the way of the next.
    assert server.export("numbers", sortBy="text", order="desc", format="parquet").status == 200


def test_another_team_sees_no_status(server: Server) -> None:
    location = ask(server, "respond-async", filters=above(400)).headers["location"]
    unknown = re.sub(r"/exports/.{8}", "/exports/00000000", location)
    answers = [
        status(server, url, key, method)
        for url, key in ((location, OTHER_KEY), (unknown, OTHER_KEY), (unknown, KEY))
        for method in ("GET", "DELETE")
    ]
    assert {answer.status for answer in answers} == {404}
    assert len({str(answer.json() | {"requestId": ""}) for answer in answers}) == 1
    assert server.request(location).status == 401
    finished(server, location)


def test_a_bad_request_is_told_at_once(server: Server) -> None:
    assert ask(server, "respond-async", sortBy="nothing").status == 400
