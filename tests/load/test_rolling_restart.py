"""Two replicas behind a load balancer without retries are restarted one after the other: no request fails.

``TAILRACE_RESTART_REQUESTS`` says how many requests there are at least, and restarts go on until then; ``make
test-long`` takes 2,000.
"""

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx2
import pytest

from tests.helpers.round_robin import RoundRobin
from tests.helpers.server import KEY, Server

REQUESTS = int(os.environ.get("TAILRACE_RESTART_REQUESTS", "200"))
CLIENTS = 4
ROWS = 3_000
_CHECK_SECONDS = 0.25
_DRAIN_SECONDS = 4
"""Sixteen checks: a busy machine may be late with some of them."""


class Traffic:
    """Clients that ask for pages, exports and files until they are told to stop and have asked often enough."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._numbers = count()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with httpx2.Client(base_url=self._base, headers={"x-api-key": KEY}, timeout=120) as http:
            while not self._stopped.is_set() or self.statuses.total() < REQUESTS:
                self._ask(http, next(self._numbers) % 40)

    def _ask(self, http: httpx2.Client, low: int) -> None:
        filters = {"filters": json.dumps([{"field": "n", "operator": "GREATER_THAN_OR_EQUAL", "value": low}])}
        page = self._get(http, "/v4/workflows/numbers/data", limit="2", **filters)
        if page is not None and page.json()["pagination"]["totalCount"] != ROWS - low:
            self.wrong.append(page.text)
        made = self._get(http, "/v4/workflows/numbers/data/export", **filters)
        if made is not None:
            file = self._get(http, made.json()["url"])
            if file is not None and file.content != "".join(f"{n}\n" for n in ("n", *range(low, ROWS))).encode():
                self.wrong.append(f"another file from {low}")

    def _get(self, http: httpx2.Client, path: str, **query: str) -> httpx2.Response | None:
        try:
            answer = http.get(path, params=query or None)
        except httpx2.HTTPError as error:
            self.wrong.append(repr(error))
            return None
        with self._lock:
            self.statuses[answer.status_code] += 1
        if answer.status_code != 200:
            self.wrong.append(f"{answer.status_code} {answer.text[:200]}")
            return None
        return answer


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    store: tuple[str, dict[str, str]] = (str(tmp_path / "store"), {})
    (tmp_path / "other").mkdir()
    first, second = (
        Server(store, folder, TAILRACE_DRAIN_SECONDS=str(_DRAIN_SECONDS)) for folder in (tmp_path, tmp_path / "other")
    )
    source = tmp_path / "numbers.csv"
    source.write_text("n\n" + "".join(f"{n}\n" for n in range(ROWS)))
    first.publish("--workflow", "numbers", "--run", "r", str(source))
    yield first, second
    for server in (first, second):
        server.stop(signal.SIGKILL)


def test_no_request_fails_during_a_rolling_restart(replicas: tuple[Server, Server]) -> None:
    ports, restarts = [server.port for server in replicas], 0
    with RoundRobin(ports, check_seconds=_CHECK_SECONDS) as balancer:
        for server in replicas:
            server.environment["TAILRACE_BASE_URL"] = balancer.base
            server.start()
            balancer.wait_until_ready(server.port)
        with Traffic(balancer.base) as traffic:
            while not restarts or traffic.statuses.total() < REQUESTS:
                restarts += 1
                for server in replicas:
                    server.stop(signal.SIGTERM)
                    balancer.wait_until_ready(server.port, ready=False)
                    server.start()
                    balancer.wait_until_ready(server.port)
        assert (balancer.failures, traffic.wrong) == ([], [])
        assert traffic.statuses.keys() == {200}
        assert traffic.statuses.total() >= REQUESTS
        assert balancer.answered.keys() == set(ports)
