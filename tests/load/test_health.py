"""A health check beside large exports: the event loop answers, whatever the encoders do.

``TAILRACE_HEALTH_ROWS`` and ``TAILRACE_HEALTH_SECONDS`` say how large and how long; ``make test-long`` takes 2,000,000
rows for 60 s and prints how long a check took. Exports, store and checks share the machine's cores.
"""

import http.client
import itertools
import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.bench.data import make
from tests.helpers.server import Server

ROWS = int(os.environ.get("TAILRACE_HEALTH_ROWS", "400000"))
SECONDS = float(os.environ.get("TAILRACE_HEALTH_SECONDS", "4"))
_TOLD = "TAILRACE_HEALTH_ROWS" in os.environ
_EXPORTS = 2
_PAUSE_SECONDS = 0.02


class _Exports:
    """Large exports one after the other, each another one, in every format, every other one sorted."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(_EXPORTS)]
        self.rows: list[int] = []
        self.failed: list[bytes] = []

    def __enter__(self) -> "_Exports":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            number = next(self._numbers)
            filters = [{"field": "id", "operator": "NOT_EQUALS", "value": number}]
            order = {"sortBy": "rating"} if number % 2 else {}
            # Flattened, since a Parquet export with the columns of the run copies most row groups.
            answer = self._server.export(
                "large", format=("csv", "json", "parquet")[number % 3], filters=filters, flatten="true", **order
            )
            if answer.status == 200:
                self.rows.append(answer.json()["rowCount"])
            else:
                self.failed.append(answer.body)


def _checks(server: Server, until: float) -> list[float]:
    took = []
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    while (started := time.monotonic()) < until:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"ok\n")
        took.append(time.monotonic() - started)
        time.sleep(_PAUSE_SECONDS)
    connection.close()
    return took


def test_health_beside_large_exports(
    store_url: tuple[str, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(ROWS, 1, tmp_path)
    with Server(store_url, tmp_path) as server:
        server.publish("--workflow", "large", "--run", "r1", *map(str, sorted(tmp_path.glob("*.parquet"))))
        with _Exports(server) as exports:
            took = _checks(server, time.monotonic() + SECONDS)
    assert exports.failed == []
    assert exports.rows
    assert set(exports.rows) == {ROWS - 1}
    # However it is scheduled, a loop that waited for an export would have answered about as often as one ended.
    assert len(took) > 5 * len(exports.rows)
    if _TOLD:
        with capsys.disabled():
            sys.stdout.write(_figures(took, len(exports.rows), store_url[0]) + "\n")


def _figures(took: list[float], exports: int, location: str) -> str:
    ordered = sorted(took)
    times = (statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])
    median, most, longest = (f"{one * 1000:,.1f} ms" for one in times)
    store = "Azure" if location.startswith("az:") else "a directory"
    slow = json.dumps([round(one * 1000) for one in ordered if one > 0.1])
    return (
        f"\n{exports} exports of {ROWS:,} rows into {store} in {SECONDS:.0f} s; {len(took):,} checks: median {median}, "
        f"99 of 100 within {most}, longest {longest}; over 100 ms: {slow}"
    )
