"""Clients that export, download, look and leave, beside large exports: no answer is undocumented, no byte wrong.

``TAILRACE_LOAD_CLIENTS`` and ``TAILRACE_LOAD_SECONDS`` say how many and how long; ``make test-long`` takes 200 for 60 s
and prints the figures. Clients, service and large exports share the machine's cores, so times are a ceiling.
"""

import asyncio
import hashlib
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import polars as pl
import pytest

from tests.helpers.server import KEY, OTHER_KEY, Server

CLIENTS = int(os.environ.get("TAILRACE_LOAD_CLIENTS", "30"))
SECONDS = float(os.environ.get("TAILRACE_LOAD_SECONDS", "5"))
_TOLD = "TAILRACE_LOAD_CLIENTS" in os.environ
SEED = int(os.environ.get("TAILRACE_SEED", "1"))
ROWS, SMALL = 400_000, 3_000
EXPORTS, QUERIES, EXPORT_MB, QUERY_MB = 2, 4, 250, 100
ALLOWED_MB = 1.2 * (EXPORTS * EXPORT_MB + QUERIES * QUERY_MB)
"""What the limits add up to, and a fifth more; the process itself comes on top."""
_RETRIES = (503,)


@dataclass
class Seen:
    """What the clients saw."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    sent: int = 0

    def note(self, name: str, answer: httpx2.Response, started: float, *right: int) -> bool:
        """Whether the answer is one of those that are right and not a request to come back."""
        self.statuses[name, answer.status_code] += 1
        self.seconds.setdefault(name, []).append(time.monotonic() - started)
        self.sent += len(answer.content)
        if answer.status_code in _RETRIES:
            if int(answer.headers.get("retry-after", "0")) < 1 or answer.json()["code"] != "busy":
                self.wrong.append(f"{name}: {answer.text}")
            return False
        if answer.status_code not in right:
            self.wrong.append(f"{name}: {answer.status_code} {answer.text[:200]}")
        return answer.status_code in right


class Client:
    """One of many, with choices of its own."""

    def __init__(self, http: httpx2.AsyncClient, seen: Seen, seed: int) -> None:
        self._http = http
        self._seen = seen
        self._random = random.Random(seed)
        self._deeds: list[Callable[[], Awaitable[None]]] = [
            self.export, self.export, self.page, self.column, self.stranger, self.leave, self.again
        ]  # fmt: skip
        self._url = ""
        self._sha256 = ""

    async def work(self, until: float) -> None:
        """Do one thing after the other."""
        while time.monotonic() < until:
            await self._random.choice(self._deeds)()

    def _filters(self) -> tuple[str, int]:
        low = self._random.randrange(SMALL)
        return json.dumps([{"field": "n", "operator": "GREATER_THAN_OR_EQUAL", "value": low}]), SMALL - low

    async def _get(self, name: str, path: str, *right: int, key: str = KEY, **query: Any) -> httpx2.Response | None:
        started = time.monotonic()
        answer = await self._http.get(path, params=query, headers={"x-api-key": key})
        return answer if self._seen.note(name, answer, started, *right) else None

    async def export(self) -> None:
        """An export of some rows, and its file."""
        filters, rows = self._filters()
        format_name = self._random.choice(["csv", "json", "parquet"])
        answer = await self._get("export", "/v4/workflows/small/data/export", 200, filters=filters, format=format_name)
        if answer is None:
            return
        made = answer.json()
        if made["rowCount"] != rows:
            self._seen.wrong.append(f"export: {made['rowCount']} rows, not {rows}")
        self._url, self._sha256 = made["url"], made["sha256"]
        await self.again()

    async def again(self) -> None:
        """The file of the last export, once more."""
        if not self._url:
            return
        started = time.monotonic()
        answer = await self._http.get(self._url)
        if self._seen.note("download", answer, started, 200) and (
            hashlib.sha256(answer.content).hexdigest() != self._sha256
        ):
            self._seen.wrong.append("download: other bytes than promised")

    async def page(self) -> None:
        """A page of rows."""
        filters, rows = self._filters()
        answer = await self._get("page", "/v4/workflows/small/data", 200, filters=filters, limit=10, sortBy="word")
        if answer is not None and answer.json()["pagination"]["totalCount"] != rows:
            self._seen.wrong.append("page: another count")

    async def column(self) -> None:
        """The facts of a column."""
        filters, rows = self._filters()
        answer = await self._get("column", "/v4/workflows/small/data/column", 200, filters=filters, field="n")
        if answer is not None and answer.json()["rowCount"] != rows:
            self._seen.wrong.append("column: another count")

    async def stranger(self) -> None:
        """Another team's key."""
        await self._get("stranger", "/v4/workflows/small/data/export", 404, key=OTHER_KEY)

    async def leave(self) -> None:
        """A large export whose asker goes away."""
        filters = json.dumps([{"field": "n", "operator": "LESS_THAN", "value": self._random.randrange(ROWS)}])
        query = {"filters": filters, "sortBy": "word"}
        try:
            await self._http.get(
                "/v4/workflows/large/data/export", params=query, headers={"x-api-key": KEY}, timeout=0.2
            )
        except httpx2.TimeoutException:
            self._seen.statuses["left", 0] += 1


async def _large(http: httpx2.AsyncClient, seen: Seen, until: float) -> None:
    """One large export after the other, each another one."""
    number = 0
    while time.monotonic() < until:
        number += 1
        filters = json.dumps([{"field": "n", "operator": "NOT_EQUALS", "value": number}])
        started = time.monotonic()
        query = {"filters": filters, "sortBy": "word"}
        answer = await http.get("/v4/workflows/large/data/export", params=query, headers={"x-api-key": KEY})
        if seen.note("large export", answer, started, 200) and answer.json()["rowCount"] != ROWS - 1:
            seen.wrong.append("large export: another count")


async def _health(http: httpx2.AsyncClient, seen: Seen, until: float) -> None:
    while time.monotonic() < until:
        started = time.monotonic()
        seen.note("health", await http.get("/healthz"), started, 200)
        await asyncio.sleep(0.05)


async def _all(server: Server) -> Seen:
    seen, until = Seen(), time.monotonic() + SECONDS
    limits = httpx2.Limits(max_connections=CLIENTS + 10)
    async with (
        httpx2.AsyncClient(base_url=server.base, limits=limits, timeout=120) as http,
        httpx2.AsyncClient(base_url=server.base, timeout=120) as apart,
    ):
        clients = [Client(http, seen, SEED + number).work(until) for number in range(CLIENTS)]
        await asyncio.gather(*clients, _large(apart, seen, until), _health(apart, seen, until))
    return seen


def _peak_mb(server: Server) -> float:
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


@pytest.fixture
def server(tmp_path: Path) -> Any:
    settings = {
        # All are of one team, which leaves a place to others.
        "TAILRACE_EXPORTS_AT_ONCE": str(EXPORTS + 1),
        "TAILRACE_MEMORY_LIMIT": f"{EXPORT_MB}MB",
        "TAILRACE_QUERIES_AT_ONCE": str(QUERIES + 1),
        "TAILRACE_QUERY_MEMORY_LIMIT": f"{QUERY_MB}MB",
        "TAILRACE_QUEUE_LENGTH": "64",
    }
    with Server((str(tmp_path / "store"), {}), tmp_path, **settings) as server:
        for workflow, rows in (("small", SMALL), ("large", ROWS)):
            frame = pl.select(n=pl.int_range(rows)).with_columns(
                word=(pl.col("n") * 7919 % 1_000_003).cast(pl.String) + "-" + "x" * 30
            )
            frame.write_parquet(tmp_path / f"{workflow}.parquet")
            server.publish("--workflow", workflow, "--run", "r1", str(tmp_path / f"{workflow}.parquet"))
        yield server


def test_many_clients_at_once(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    idle = _peak_mb(server)
    seen = asyncio.run(_all(server))
    peak = _peak_mb(server)
    with capsys.disabled():
        if _TOLD:
            sys.stdout.write("\n".join(_figures(seen, idle, peak)) + "\n")
    assert seen.wrong == []
    for name in ("export", "download", "page", "column", "stranger", "health", "large export"):
        assert any(wanted == name and status in (200, 404) for wanted, status in seen.statuses), name
    assert peak < idle + ALLOWED_MB
    # Whoever left has left nothing: the service is as before.
    assert server.download("small", format="csv").count(b"\n") == SMALL + 1
    assert [path for path in (server.folder / "spill").rglob("*") if path.is_file()] == []


def _figures(seen: Seen, idle: float, peak: float) -> Iterator[str]:
    requests = sum(seen.statuses.values())
    yield f"\n{CLIENTS} clients, {SECONDS:.0f} s, seed {SEED}"
    yield f"{requests:,} requests, {requests / SECONDS:.0f} a second"
    yield f"{seen.sent / 1e6:,.0f} MB downloaded; {dict(seen.statuses)}"
    yield f"memory: idle {idle:.0f} MB, peak {peak:.0f} MB, allowed {idle + ALLOWED_MB:.0f} MB"
    yield "| request | number | median | 99 of 100 | longest |\n|---|---|---|---|---|"
    for name, seconds in sorted(seen.seconds.items()):
        ordered = sorted(seconds)
        times = (statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])
        yield f"| {name} | {len(ordered):,} | " + " | ".join(f"{one * 1000:,.0f} ms" for one in times) + " |"
