"""Bodies of more rows than fit in memory: what the service holds while it sends them does not grow with them."""

import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.helpers.server import KEY, Server

ROWS, CELL_CHARACTERS = 1_000_000, 200
BODY_BYTES = ROWS * CELL_CHARACTERS
"""More than the memory that the service may take for them."""
MAX_GROWTH_BYTES = 150_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("streams")
    with Server((str(folder / "store"), {}), folder) as server:
        text = pl.col("n").cast(pl.String) + "-" + "x" * CELL_CHARACTERS
        pl.select(n=pl.int_range(ROWS)).with_columns(text=text).write_parquet(folder / "wide.parquet")
        server.publish("--workflow", "wide", "--run", "r1", str(folder / "wide.parquet"))
        # What is imported and opened once does not count.
        for query in ("limit=10", "limit=1000", "limit=0&rowIds=nothing"):
            assert read(server, query) > 0
        yield server


def read(server: Server, query: str) -> int:
    """Read the rows as they come, and return the bytes of the body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("GET", f"/v4/workflows/wide/data?{query}", headers={"x-api-key": KEY})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    size = 0
    while piece := answer.read(1 << 20):
        size += len(piece)
    connection.close()
    return size


def resident_bytes(pid: int, name: str) -> int:
    """``VmRSS``, or ``VmHWM``, its highest value since it was reset."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures memory in /proc")
@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        f"limit={ROWS - 1}",
        "limit=0&format=csv&gzip=true",
        "limit=0&sortBy=text",
        f"limit={ROWS - 1}&sortBy=text&order=desc",
    ],
)
def test_memory_does_not_grow_with_the_rows(server: Server, query: str) -> None:
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    before = resident_bytes(server.pid, "VmRSS")
    size = read(server, query)
    assert "gzip" in query or size > BODY_BYTES
    assert resident_bytes(server.pid, "VmHWM") - before < MAX_GROWTH_BYTES


def test_a_sort_beyond_the_spill_limit_is_refused(server: Server, tmp_path: Path) -> None:
    with Server((str(server.folder / "store"), {}), tmp_path, TAILRACE_SPILL_LIMIT="10MB") as limited:
        for query in ("limit=0&sortBy=text&order=desc&format=csv", f"limit={ROWS - 2}&sortBy=text&format=csv"):
            answer = limited.request(f"/v4/workflows/wide/data?{query}", headers={"x-api-key": KEY})
            assert (answer.status, answer.json()["code"]) == (400, "limit_exceeded")
            assert "spill space" in answer.json()["message"]
            assert list((tmp_path / "spill").iterdir()) == []
        assert read(limited, "limit=10&sortBy=text") > 0


def test_a_client_that_leaves_while_rows_are_split_leaves_no_files(server: Server) -> None:
    spill = server.folder / "spill"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/v4/workflows/wide/data?limit=0&sortBy=n&order=desc", headers={"x-api-key": KEY})
    _wait_until(lambda: any(spill.rglob("_bucket=*/*.parquet")))
    connection.close()
    _wait_until(lambda: not any(spill.iterdir()))
    _wait_until(lambda: any(line.get("outcome") == "cancelled" for line in server.logged()))
    assert read(server, "limit=10&sortBy=n") > 0


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)
