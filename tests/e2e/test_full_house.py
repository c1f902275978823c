"""More exports than the service accepts, and clients that disconnect before theirs is finished."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.stores import open_store
from tests.helpers.altered import BEGUN, AlteredServer
from tests.helpers.server import KEY, OTHER_KEY, Server

StoreUrl = tuple[str, dict[str, str]]


def files(store_url: StoreUrl) -> list[str]:
    """The keys of the exports that a reader can see."""
    location, environment = store_url
    store = open_store(f"{location}/exports", connection_string=environment.get("AZURE_STORAGE_CONNECTION_STRING"))
    return [info.key for info in store.list("numbers/")]


def test_an_export_beyond_the_limits_gets_503_with_retry_after(tmp_path: Path, numbers: Path) -> None:
    settings = {"TAILRACE_MAX_CONCURRENT_EXPORTS": "1", "TAILRACE_EXPORT_QUEUE_SIZE": "1"}
    with Server((str(tmp_path / "store"), {}), tmp_path, **settings) as server:
        server.publish("--workflow", "numbers", "--run", "r", str(numbers))
        with ThreadPoolExecutor(6) as pool:
            # Different requests, so that none is answered from another's object.
            answers = list(
                pool.map(
                    lambda n: server.export(
                        "numbers", KEY, filters=[{"field": "n", "operator": "GREATER_THAN", "value": n}]
                    ),
                    range(6),
                )
            )
        refused = [answer for answer in answers if answer.status != 200]
        assert 0 < len(refused) < len(answers)
        for answer in refused:
            assert (answer.status, answer.json()["code"]) == (503, "busy")
            assert int(answer.headers["retry-after"]) >= 1
        assert server.export("numbers", KEY, rowIds="000000000001").json()["rowCount"] == 1


def test_exports_run_wait_or_are_refused_by_the_limits(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(9)))
    settings = {"TAILRACE_MAX_CONCURRENT_EXPORTS": "3", "TAILRACE_EXPORT_QUEUE_SIZE": "2"}
    with AlteredServer((str(tmp_path / "store"), {}), tmp_path, **settings) as server:
        server.publish("--workflow", "numbers", "--run", "r", str(tmp_path / "rows.csv"))
        server.publish("--workflow", "theirs", "--run", "r", str(tmp_path / "rows.csv"), team="rival")
        try:
            server.halt_at(BEGUN)
            headers = {"x-api-key": KEY, "prefer": "respond-async"}
            path = "/v4/workflows/numbers/data/export?rowIds=00000000000"
            # One team may have all places but one, and half of the queue.
            taken = [server.request(f"{path}{n}", headers=headers) for n in range(3)]
            assert [answer.status for answer in taken] == [202] * 3
            # Another team that comes later gets the last one.
            headers_of = dict.fromkeys((answer.headers["location"] for answer in taken), headers)
            rival = {**headers, "x-api-key": OTHER_KEY}
            came = server.request("/v4/workflows/theirs/data/export", headers=rival)
            headers_of[came.headers["location"]] = rival
            phases: list[str] = []
            deadline = time.monotonic() + 20
            # Tickets are written once a second.
            while phases.count("running") < 3 and time.monotonic() < deadline:
                time.sleep(0.2)
                phases = [server.request(url, headers=own).json()["phase"] for url, own in headers_of.items()]
            assert phases == ["running", "running", "queued", "running"]
            for prefer in ({}, {"prefer": "respond-async"}):
                refused = server.request(f"{path}3", headers={"x-api-key": KEY, **prefer})
                assert (refused.status, refused.json()["code"]) == (503, "busy")
                assert int(refused.headers["retry-after"]) >= 1
        finally:
            server.go_on()
        assert server.export("numbers", KEY, rowIds="000000000002").json()["rowCount"] == 1


def test_a_client_that_disconnects_cancels_its_export(store_url: StoreUrl, tmp_path: Path, numbers: Path) -> None:
    exports = tmp_path / "store" / "exports"
    with Server(store_url, tmp_path, TAILRACE_MAX_CONCURRENT_EXPORTS="1") as server:
        server.publish("--workflow", "numbers", "--run", "r", str(numbers))
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/v4/workflows/numbers/data/export?sortBy=text", headers={"x-api-key": KEY})
        time.sleep(0.2)
        connection.close()
        # The next export gets the only place, which the first one has left by then.
        assert server.export("numbers", KEY, rowIds="000000000001").status == 200
        assert len(files(store_url)) == 1
        # Blocks on Azure are no files of ours.
        assert [path for folder in (exports / ".staging", tmp_path / "spill") for path in folder.glob("*")] == []


def test_equal_requests_share_one_export(store_url: StoreUrl, tmp_path: Path, numbers: Path) -> None:
    settings = {"TAILRACE_MAX_CONCURRENT_EXPORTS": "1", "TAILRACE_EXPORT_QUEUE_SIZE": "0"}
    with Server(store_url, tmp_path, **settings) as server:
        server.publish("--workflow", "numbers", "--run", "r", str(numbers))
        with ThreadPoolExecutor(6) as pool:
            # One place and no queue: whoever did not join would be refused.
            answers = list(pool.map(lambda _: server.export("numbers", KEY, sortBy="text"), range(6)))
        assert [answer.status for answer in answers] == [200] * 6
        assert len({answer.json()["exportId"] for answer in answers}) == 1
        assert len(files(store_url)) == 1


def test_one_disconnected_client_does_not_cancel_a_shared_export(
    store_url: StoreUrl, tmp_path: Path, numbers: Path
) -> None:
    with Server(store_url, tmp_path, TAILRACE_MAX_CONCURRENT_EXPORTS="1") as server:
        server.publish("--workflow", "numbers", "--run", "r", str(numbers))
        connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(3)]
        for connection in connections:
            connection.request("GET", "/v4/workflows/numbers/data/export?sortBy=text", headers={"x-api-key": KEY})
            time.sleep(0.05)
        # The first of all began the work; it leaves, and one of those who joined.
        for connection in connections[:2]:
            connection.close()
        answer = connections[2].getresponse()
        assert answer.status == 200
        answer.read()
        connections[2].close()
