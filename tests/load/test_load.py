"""Clients of every kind beside large exports: no answer is undocumented, no byte wrong, memory within its limits.

``TAILRACE_LOAD_CLIENTS`` and ``TAILRACE_LOAD_SECONDS`` say how many and how long; ``make test-long`` takes 200 for 60 s
and prints the figures. Clients, service and large exports share the machine's cores, so times are a ceiling.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import polars as pl
import pytest

from engine.query.sandbox.worker import overhead_bytes
from tests.helpers.folders import files_below
from tests.helpers.server import KEY, Server
from tests.load.clients import HEALTH, LARGE, LARGE_EXPORT, REQUEST_NAMES, SMALL, Client, Seen
from tests.load.memory import StatementsWatch, peak_mb

CLIENTS = int(os.environ.get("TAILRACE_LOAD_CLIENTS", "30"))
SECONDS = float(os.environ.get("TAILRACE_LOAD_SECONDS", "2"))
_TOLD = "TAILRACE_LOAD_CLIENTS" in os.environ
SEED = int(os.environ.get("TAILRACE_SEED", "1"))
THREADS = 2
EXPORTS, QUERIES, EXPORT_MB, QUERY_MB = 2, 4, 250, 100
ALLOWED_MB = 1.2 * (EXPORTS * EXPORT_MB + QUERIES * QUERY_MB)
"""What the limits add up to, and a fifth more; the process itself comes on top."""
ALLOWED_SQL_MB = QUERIES * (QUERY_MB + overhead_bytes(THREADS) / 1e6)
"""What the kernel allows the processes of SQL statements."""


async def _large(http: httpx2.AsyncClient, seen: Seen, until: float) -> None:
    """One large export after the other, each another one; one at least, however busy the machine is."""
    number = 0
    while number == 0 or time.monotonic() < until:
        number += 1
        filters = json.dumps([{"field": "n", "operator": "NOT_EQUALS", "value": number}])
        started = time.monotonic()
        query = {"filters": filters, "sortBy": "word"}
        answer = await http.get("/v4/workflows/large/data/export", params=query, headers={"x-api-key": KEY})
        if seen.note(LARGE_EXPORT, answer, started, 200) and answer.json()["rowCount"] != LARGE - 1:
            seen.wrong.append(f"{LARGE_EXPORT}: another count")


async def _health(http: httpx2.AsyncClient, seen: Seen, until: float) -> None:
    while (HEALTH, 200) not in seen.statuses or time.monotonic() < until:
        started = time.monotonic()
        seen.note(HEALTH, await http.get("/healthz"), started, 200)
        await asyncio.sleep(0.05)


async def _all(server: Server) -> Seen:
    seen, until = Seen(), time.monotonic() + SECONDS
    limits = httpx2.Limits(max_connections=CLIENTS + 10)
    async with (
        httpx2.AsyncClient(base_url=server.base, limits=limits, timeout=120) as http,
        httpx2.AsyncClient(base_url=server.base, timeout=120) as apart,
    ):
        # Each begins with another deed, so that a short run has all of them.
        clients = [Client(http, seen, SEED + number).work(until, number) for number in range(CLIENTS)]
        await asyncio.gather(*clients, _large(apart, seen, until), _health(apart, seen, until))
    return seen


@pytest.fixture
def server(store_url: tuple[str, dict[str, str]], tmp_path: Path) -> Iterator[Server]:
    settings = {
        # All are of one team, which leaves a place to others.
        "TAILRACE_MAX_CONCURRENT_EXPORTS": str(EXPORTS + 1),
        "TAILRACE_MEMORY_LIMIT": f"{EXPORT_MB}MB",
        "TAILRACE_MAX_CONCURRENT_QUERIES": str(QUERIES + 1),
        "TAILRACE_QUERY_MEMORY_LIMIT": f"{QUERY_MB}MB",
        "TAILRACE_EXPORT_QUEUE_SIZE": "64",
        "TAILRACE_THREADS": str(THREADS),
    }
    with Server(store_url, tmp_path, **settings) as server:
        for workflow, rows in (("small", SMALL), ("large", LARGE)):
            frame = pl.select(n=pl.int_range(rows)).with_columns(
                word=(pl.col("n") * 7919 % 1_000_003).cast(pl.String) + "-" + "x" * 30
            )
            frame.write_parquet(tmp_path / f"{workflow}.parquet")
            server.publish("--workflow", workflow, "--run", "r1", str(tmp_path / f"{workflow}.parquet"))
        yield server


def test_many_clients_at_once(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    idle = peak_mb(server.pid)
    with StatementsWatch(server.pid) as statements:
        seen = asyncio.run(_all(server))
    peak = peak_mb(server.pid)
    with capsys.disabled():
        if _TOLD:
            sys.stdout.write("\n".join(_figures(seen, idle, peak, statements)) + "\n")
    assert seen.wrong == []
    assert {name for name, _ in seen.statuses} >= set(REQUEST_NAMES)
    assert peak < idle + ALLOWED_MB
    assert 0 < statements.most_at_once <= QUERIES
    assert statements.most_mb < ALLOWED_SQL_MB
    # Whoever left has left nothing: the service is as before.
    assert server.download("small", format="csv").count(b"\n") == SMALL + 1
    assert files_below(server.folder / "spill") == []


def _figures(seen: Seen, idle: float, peak: float, statements: StatementsWatch) -> Iterator[str]:
    requests = sum(seen.statuses.values())
    yield f"\n{CLIENTS} clients, {SECONDS:.0f} s, seed {SEED}"
    yield f"{requests:,} requests, {requests / SECONDS:.0f} a second"
    yield f"{seen.sent / 1e6:,.0f} MB downloaded; {dict(seen.statuses)}"
    yield f"memory: idle {idle:.0f} MB, peak {peak:.0f} MB, allowed {idle + ALLOWED_MB:.0f} MB"
    yield f"of statements: {statements.most_mb:.0f} MB in {statements.most_at_once}, allowed {ALLOWED_SQL_MB:.0f} MB"
    yield "| request | number | median | 99 of 100 | longest |\n|---|---|---|---|---|"
    for name, seconds in sorted(seen.seconds.items()):
        ordered = sorted(seconds)
        times = (statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])
        yield f"| {name} | {len(ordered):,} | " + " | ".join(f"{one * 1000:,.0f} ms" for one in times) + " |"
