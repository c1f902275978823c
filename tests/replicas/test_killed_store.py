"""The store of two replicas is killed and comes back: at their start, during an export, during a download."""

import hashlib
import http.client
import json
from collections.abc import Iterator
from functools import cache, partial
from itertools import count

import pytest

from tests.helpers.altered import STAGED
from tests.helpers.azurite import Azurite, available
from tests.helpers.running import wait_for
from tests.helpers.server import KEY, Asked
from tests.replicas.replica import PUBLIC, Replica, opened

pytestmark = pytest.mark.azurite

ROWS = 400_000
"""The CSV does not fit into the buffers between the store and a client."""
_SECONDS = 120
_NUMBERS = count()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Azurite]:
    """An emulator of this module's own, which its tests kill."""
    if reason := available():
        pytest.skip(reason)
    with Azurite() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def replicas(emulator: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Replica, Replica]]:
    folder = tmp_path_factory.mktemp("killed")
    store = ("az://tailrace", {"AZURE_STORAGE_CONNECTION_STRING": emulator.connection_string})
    (folder / "rows.csv").write_text("n,digest\n" + "".join(_lines()))
    first, second = Replica(store, folder / "first"), Replica(store, folder / "second")
    first.publish("--workflow", "w", "--run", "r", str(folder / "rows.csv"))
    with first, second:
        yield first, second
        for server in (first, second):
            server.go_on()


@cache
def _lines() -> list[str]:
    return [f"{n},{hashlib.sha256(str(n).encode()).hexdigest()}\n" for n in range(ROWS)]


def _path(number: int) -> str:
    filters = json.dumps([{"field": "n", "operator": "GREATER_THAN", "value": number}], separators=(",", ":"))
    return f"/v4/workflows/w/data/export?filters={filters}".replace('"', "%22")


def _csv(number: int) -> bytes:
    return ('n,"digest"\n' + "".join(_lines()[number + 1 :])).encode()


def _kill_when_written(emulator: Azurite, replica: Replica) -> None:
    """Kill the emulator once it has written what was committed until now."""
    mark = f"mark-{next(_NUMBERS)}"
    replica.publish("--workflow", mark, "--run", "r", str(replica.folder.parent / "one.csv"))
    emulator.wait_until_written(f"{mark}/run=r/run.json")
    emulator.kill()


@pytest.fixture(autouse=True)
def _one_row(replicas: tuple[Replica, Replica]) -> None:
    (replicas[0].folder.parent / "one.csv").write_text("n\n1\n")


def _wait_until_ready(replica: Replica) -> None:
    wait_for(lambda: replica.request("/readyz").status == 200, _SECONDS)


def test_a_service_starts_without_its_store_and_works_once_it_is_there(
    emulator: Azurite, replicas: tuple[Replica, Replica]
) -> None:
    first, _ = replicas
    _kill_when_written(emulator, first)
    try:
        first.__exit__(None, None, None)
        first.start()
        asked = [Asked(partial(replica.request, "/readyz")) for replica in replicas]
        asked += [Asked(partial(replica.request, _path(-2), headers={"x-api-key": KEY})) for replica in replicas]
        ready, refused = [one.answer() for one in asked[:2]], [one.answer() for one in asked[2:]]
        assert [answer.status for answer in ready] == [503, 503]
        for answer in refused:
            assert (answer.status, answer.json()["code"]) == (503, "store_unavailable")
            assert "retry-after" in answer.headers
    finally:
        emulator.start()
    for replica in replicas:
        _wait_until_ready(replica)
        number = next(_NUMBERS)
        made = replica.request(_path(number), headers={"x-api-key": KEY}).json()
        assert made["sha256"] == hashlib.sha256(_csv(number)).hexdigest()


def test_an_export_whose_store_is_killed_fails_and_the_next_one_is_whole(
    emulator: Azurite, replicas: tuple[Replica, Replica]
) -> None:
    first, second = replicas
    number = next(_NUMBERS)
    first.halt_at(STAGED)
    under_way = Asked(lambda: first.request(_path(number), headers={"x-api-key": KEY}))
    first.wait_until_halted()
    _kill_when_written(emulator, second)
    try:
        first.go_on()
        failed = under_way.answer()
        assert (failed.status, failed.json()["code"]) == (503, "store_unavailable")
    finally:
        emulator.start()
    _wait_until_ready(second)
    made = second.request(_path(number), headers={"x-api-key": KEY}).json()
    assert (opened(first, made["url"]).body, opened(second, made["url"]).body) == (_csv(number), _csv(number))


def test_an_asynchronous_export_whose_store_is_killed_says_why(
    emulator: Azurite, replicas: tuple[Replica, Replica]
) -> None:
    first, second = replicas
    number = next(_NUMBERS)
    first.halt_at(STAGED)
    headers = {"x-api-key": KEY, "prefer": "respond-async"}
    location = first.request(_path(number), headers=headers).headers["location"]
    first.wait_until_halted()
    _kill_when_written(emulator, second)
    try:
        first.go_on()
        wait_for(lambda: _outcomes(first, location) == ["store_unavailable"], _SECONDS)
    finally:
        emulator.start()
    _wait_until_ready(second)
    # Until the first replica has written the reason, its silence looks like its end.
    wait_for(lambda: opened(second, location, **{"x-api-key": KEY}).json()["code"] == "store_unavailable", _SECONDS)


def _outcomes(replica: Replica, location: str) -> list[str]:
    """How the export of a status ended, by the log."""
    export_id = location.removesuffix("/status").rpartition("/")[2]
    lines = replica.logged()
    return [line["outcome"] for line in lines if line["event"] == "export" and line["export_id"] == export_id]


def _read_on(answer: http.client.HTTPResponse, data: bytearray) -> None:
    """Append the rest of a body; raises IncompleteRead if it is short."""
    while part := answer.read1(1_000_000):
        data += part
    if answer.length:
        raise http.client.IncompleteRead(bytes(data), answer.length)


def test_a_download_whose_store_is_killed_is_cut_and_can_be_resumed(
    emulator: Azurite, replicas: tuple[Replica, Replica]
) -> None:
    first, second = replicas
    made = first.request(_path(-1), headers={"x-api-key": KEY}).json()
    path = made["url"].removeprefix(PUBLIC)
    emulator.wait_until_written(made["exportId"])
    connection = http.client.HTTPConnection("127.0.0.1", first.port, timeout=_SECONDS)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert int(answer.headers["content-length"]) == made["sizeBytes"]
    tag = answer.headers["etag"]
    data = bytearray(answer.read(1_000_000))
    _kill_when_written(emulator, second)
    try:
        # Never a short file that looks whole.
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            _read_on(answer, data)
    finally:
        connection.close()
        emulator.start()
    _wait_until_ready(second)
    rest = opened(second, made["url"], range=f"bytes={len(data)}-", **{"if-range": tag})
    assert rest.status == 206
    assert hashlib.sha256(bytes(data) + rest.body).hexdigest() == made["sha256"]
