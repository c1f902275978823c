"""A replica that may have 256 files open, and more clients than it can have: the other replica is none the wiser."""

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers.running import wait_for
from tests.helpers.server import KEY
from tests.replicas.replica import LimitedReplica, Replica, opened

DESCRIPTORS = LimitedReplica.descriptors
CONNECTIONS = (DESCRIPTORS - 128) // 2
"""As the setting's description says: two files for each connection and 128 for the rest."""
CLIENTS = 8
ROWS = 100_000
_KEY = {"x-api-key": KEY}


@pytest.fixture
def replicas(store_url: tuple[str, dict[str, str]], tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    (tmp_path / "rows.csv").write_text("n,text\n" + "".join(f"{n},row {n} of the run\n" for n in range(ROWS)))
    small = LimitedReplica(store_url, tmp_path / "small", TAILRACE_MAX_CONCURRENT_EXPORTS="3")
    large = Replica(store_url, tmp_path / "large")
    small.publish("--workflow", "w", "--run", "r", str(tmp_path / "rows.csv"))
    with small, large:
        yield small, large


def _connections(replica: Replica) -> int:
    text = replica.request("/metrics").body.decode()
    found = re.search(r"^tailrace_connections (\S+)$", text, re.MULTILINE)
    assert found is not None
    return int(float(found.group(1)))


def test_it_limits_connections_and_fails_no_request(replicas: tuple[Replica, Replica]) -> None:
    small, large = replicas
    limited = [line for line in small.logged() if line["event"] == "connections limited by open files"]
    assert [(line["connections"], line["wanted"]) for line in limited] == [(CONNECTIONS, 2000)]
    with ExitStack() as stack:
        # Clients that are connected and ask for nothing: more than it accepts.
        for _ in range(DESCRIPTORS):
            stack.enter_context(socket.create_connection(("127.0.0.1", small.port), timeout=60))
        wait_for(lambda: 1 < _connections(small) <= CONNECTIONS, 60)

        def work(number: int) -> tuple[int, int, bytes]:
            above = f'[{{"field":"n","operator":"GREATER_THAN","value":{number}}}]'
            made = small.export("w", filters=above, sortBy="text")
            if made.status != 200:
                return made.status, 0, made.body
            file = opened(large if number % 2 else small, made.json()["url"])
            query = small.request(
                "/v4/workflows/w/data/query", "POST", _KEY, b'{"sql": "SELECT count(*) AS n FROM data"}'
            )
            return file.status, query.status, b"" if query.status == 200 else query.body

        with ThreadPoolExecutor(CLIENTS) as pool:
            assert set(pool.map(work, range(2 * CLIENTS))) == {(200, 200, b"")}
    open_files = len([*Path(f"/proc/{small.pid}/fd").iterdir()])
    assert open_files < DESCRIPTORS
    assert [line for line in small.logged() if line["level"] == "error"] == []
