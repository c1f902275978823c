"""A service in a control group: its memory stays within the formula, and below it, a statement goes first.

``TAILRACE_MEMORY_ROWS`` says how large the sorts are; ``make test-long`` takes 2,000,000 rows and prints the figures.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from engine.settings import DuckDBSettings
from tests.helpers.cgroups import MISSING, Cgroup
from tests.helpers.server import KEY, OTHER_KEY, Answer, Asked, Server
from web.cli.doctor.memory import memory_need
from web.settings import AdmissionSettings, PublishSettings, QuerySettings

ROWS = int(os.environ.get("TAILRACE_MEMORY_ROWS", "500000"))
_TOLD = "TAILRACE_MEMORY_ROWS" in os.environ
EXPORTS, QUERIES, LIMIT, THREADS = 3, 4, "256MB" if ROWS >= 2_000_000 else "128MB", 2
_NEED = memory_need(
    DuckDBSettings(memory_limit=LIMIT, threads=THREADS),
    AdmissionSettings(max_concurrent_exports=EXPORTS),
    # No test publishes over HTTP.
    PublishSettings(max_concurrent_publishes=1),
    QuerySettings(max_concurrent_queries=QUERIES, query_memory_limit=LIMIT),
)
_BOUND_BYTES = _NEED.total_bytes - _NEED.export_mb * 1_000_000
"""The formula without the publish."""
_LARGE = "SELECT list(word ORDER BY n) FROM data"
"""Takes all the memory that a statement may have."""
_OWNERS = ((KEY, "a"), (KEY, "a"), (OTHER_KEY, "b"))
"""One team may not take all slots."""
_EVERY_SECONDS = 0.02
_SMALL_BYTES = 330_000_000
"""Enough for the service and a few statements."""


@contextmanager
def served(tmp_path: Path, group: Cgroup, **settings: str) -> Iterator[Server]:
    """A service in a group, an interpreter of its own, with the same run for two teams."""
    server = Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_THREADS=str(THREADS), **settings)
    word = (pl.col("n") * 7919 % 1_000_003).cast(pl.String) + "-" + pl.col("n").cast(pl.String) + "-" + "x" * 30
    pl.select(n=pl.int_range(ROWS)).with_columns(word=word).write_parquet(tmp_path / "rows.parquet")
    server.publish("--workflow", "a", "--run", "r", str(tmp_path / "rows.parquet"))
    server.publish("--workflow", "b", "--run", "r", str(tmp_path / "rows.parquet"), team="rival")
    again = "os.execv(sys.executable, [sys.executable, '-c', 'from web.cli import main; main()', 'serve'])"
    server.program = f"import os, sys; {group.joining}; {again}"
    try:
        with server:
            yield server
    finally:
        server.stop(signal.SIGKILL)


@contextmanager
def group_of(limit_bytes: int) -> Iterator[Cgroup]:
    """A control group, or a skip with the reason."""
    group = Cgroup(limit_bytes)
    try:
        group.__enter__()
    except OSError as error:
        pytest.skip(f"{MISSING} ({error})")
    try:
        yield group
    finally:
        group.__exit__(None, None, None)


def ask(server: Server, key: str, workflow: str, sql: str) -> Answer:
    """The answer to a statement."""
    headers = {"x-api-key": key, "content-type": "application/json"}
    return server.request(f"/v4/workflows/{workflow}/data/query", "POST", headers, json.dumps({"sql": sql}).encode())


def export(server: Server, key: str, workflow: str, number: int) -> Answer:
    """The answer to a sorted export of all rows but one."""
    return server.export(
        workflow, key, sortBy="word", filters=[{"field": "n", "operator": "NOT_EQUALS", "value": number}]
    )


def test_memory_stays_within_the_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits = {
        "TAILRACE_MAX_CONCURRENT_EXPORTS": str(EXPORTS),
        "TAILRACE_MAX_CONCURRENT_QUERIES": str(QUERIES),
        "TAILRACE_MEMORY_LIMIT": LIMIT,
        "TAILRACE_QUERY_MEMORY_LIMIT": LIMIT,
    }
    with group_of(_BOUND_BYTES) as group, served(tmp_path, group, **limits) as server:
        over = threading.Event()

        def repeat(owner: tuple[str, str]) -> None:
            while not over.is_set():
                ask(server, *owner, _LARGE)

        statements = [threading.Thread(target=repeat, args=(owner,)) for owner in (*_OWNERS, _OWNERS[0])]
        for thread in statements:
            thread.start()
        exports = [Asked(partial(export, server, *owner, number)) for number, owner in enumerate(_OWNERS)]
        peak = 0
        while not all(asked.answered for asked in exports):
            peak = max(peak, group.anonymous_bytes)
            time.sleep(_EVERY_SECONDS)
        over.set()
        for thread in statements:
            thread.join()
        with capsys.disabled():
            if _TOLD:
                sys.stdout.write(f"\n{ROWS:,} rows: peak {peak / 1e6:,.0f} MB, formula {_BOUND_BYTES / 1e6:,.0f} MB\n")
        answers = [asked.answer() for asked in exports]
        assert [(answer.status, answer.json().get("rowCount")) for answer in answers] == [(200, ROWS - 1)] * EXPORTS
        assert group.kills == 0
        assert server.request("/healthz").status == 200


def test_a_statement_goes_first(tmp_path: Path) -> None:
    settings = {
        "TAILRACE_MEMORY_LIMIT": "64MB",
        # More than there is, so that the kernel has to end something.
        "TAILRACE_QUERY_MEMORY_LIMIT": "2GB",
        "TAILRACE_MAX_CONCURRENT_QUERIES": "8",
    }
    with group_of(_SMALL_BYTES) as group, served(tmp_path, group, **settings) as server:
        pid = server.pid
        codes = set()
        deadline = time.monotonic() + 120
        while not group.kills:
            assert time.monotonic() < deadline
            asked = [Asked(partial(ask, server, KEY, "a", _LARGE)) for _ in range(6)]
            codes |= {(each.answer().status, each.answer().json().get("code")) for each in asked}
        assert (400, "limit_exceeded") in codes
        assert {status for status, _ in codes} <= {200, 400}
        # The same process serves on.
        assert (server.pid, server.request("/healthz").status) == (pid, 200)
        assert ask(server, KEY, "a", "SELECT count(*) AS n FROM data").json()["rows"] == [{"n": ROWS}]


def test_doctor_counts_the_limit_of_the_group(tmp_path: Path) -> None:
    with group_of(1000 * 2**20) as group:
        server = Server((str(tmp_path / "store"), {}), tmp_path)
        server.initialise()
        server.program = f"{group.joining}; from web.cli import main; main()"
        report = json.loads(server.command("doctor", "--json").stdout)
    (memory,) = (finding for finding in report["findings"] if finding["area"] == "memory")
    assert (memory["level"], memory["text"].startswith("1.0 GB;")) == ("problem", True)
