"""Clients that stall cost little, take nothing from the others, and go when the service stops.

``TAILRACE_STALLED_READERS`` and ``TAILRACE_STALLED_BODIES`` say how many; ``make test-long`` takes 1,000 and 150 and
prints the figures.
"""

import asyncio
import hashlib
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.server import KEY, Server
from tests.load.stalling import Clients, cpu_seconds, get, rss_mb, settled_rss_mb, stacks
from tests.web.test_interrupted_downloads import publish_much

READERS = int(os.environ.get("TAILRACE_STALLED_READERS", "150"))
BODIES = int(os.environ.get("TAILRACE_STALLED_BODIES", "40"))
_PRINTS = "TAILRACE_STALLED_READERS" in os.environ
_READER_MB, _READERS_MB = 0.19, 10
_BODY_MB, _BODIES_MB = 0.45, 32
"""For each and for all of them; the memory that bodies share is 25 MB. 1,000 readers and 150 bodies stay below 200
and 100 MB."""
_BODY_BYTES = 8 * 1024 * 1024
_GRACE_SECONDS = 20
"""The default."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory in /proc")


def limited(descriptors: int, patch: str = "") -> type[Server]:
    """A service with a limit of open files."""

    class Limited(Server):
        program = (
            f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors})); "
            f"from web.cli import main; {patch}main()"
        )

    return Limited


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    if _PRINTS:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")


def seconds_of_download(server: Server, exported: dict[str, Any]) -> float:
    """The best of three."""
    took = []
    for _ in range(3):
        started = time.monotonic()
        body = server.request(exported["url"]).body
        took.append(time.monotonic() - started)
        assert hashlib.sha256(body).hexdigest() == exported["sha256"]
    return min(took)


@pytest.fixture
def server(store_url: tuple[str, dict[str, str]], tmp_path: Path) -> Iterator[Server]:
    with Server(store_url, tmp_path) as server:
        yield server


def test_readers_that_stall(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported = publish_much(server, tmp_path)
    alone = seconds_of_download(server, exported)
    idle = rss_mb(server.pid)
    with Clients(server, READERS, get(exported["url"])) as clients:
        assert {head[:12] for head in clients.heads(READERS)} == {b"HTTP/1.1 200"}
        grown = settled_rss_mb(server.pid) - idle
        beside = seconds_of_download(server, exported)
        started = time.monotonic()
        process = server._process
        assert process is not None
        process.send_signal(15)  # type: ignore[arg-type]
        process.wait(_GRACE_SECONDS)
        ended = time.monotonic() - started
    say(
        capsys,
        f"{READERS} stalled readers: +{grown:.0f} MB over {idle:.0f} MB; a download of {exported['sizeBytes']:,} bytes "
        f"took {alone * 1000:.0f} ms alone, {beside * 1000:.0f} ms beside them; SIGTERM ended it in {ended:.1f} s",
    )
    assert grown < READERS * _READER_MB + _READERS_MB
    log = server.logged()
    assert stacks(log) == []
    assert Counter(line["ended"] for line in log if "ended" in line) == {"stalled_response": READERS}


def test_bodies_that_stall(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    idle = rss_mb(server.pid)
    head = (
        f"POST /v4/workflows/w/data/export HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-length: {_BODY_BYTES}\r\n"
    )
    request = head.encode() + b"\r\n" + b" " * (_BODY_BYTES - 100_000)
    with Clients(server, BODIES, request):
        grown = settled_rss_mb(server.pid) - idle
        say(capsys, f"{BODIES} stalled bodies of {_BODY_BYTES:,} bytes: +{grown:.0f} MB over {idle:.0f} MB")
        assert grown < BODIES * _BODY_MB + _BODIES_MB
        assert server.request("/v4/workflows", headers={"x-api-key": KEY}).status == 200
    server.stop(15)  # type: ignore[arg-type]
    assert stacks(server.logged()) == []


async def _downloaded(server: Server, request: bytes, go_on: asyncio.Event) -> tuple[int, int, int]:
    """Status, promised and received bytes of a download that stalls until it may go on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        received = 0
        while data := await reader.read(65536):
            received += len(data)
        return int(head.split()[1]), int(lines[b"content-length"]), received
    finally:
        writer.close()


async def _all_downloaded(server: Server, url: str, number: int) -> list[tuple[int, int, int]]:
    go_on = asyncio.Event()
    request = get(url, "connection: close\r\nrange: bytes=0-1999999\r\n")
    tasks = [asyncio.create_task(_downloaded(server, request, go_on)) for _ in range(number)]
    await asyncio.sleep(3)
    go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    # A connection that was refused or reset before its head has promised nothing.
    return [result for result in results if isinstance(result, tuple)]


@pytest.mark.parametrize(
    ("descriptors", "clients", "patch"),
    [
        (1024, 600, ""),
        # Without the reserve, so that they do run short.
        (128, 200, "from web.http import connections as c; c.RESERVED_DESCRIPTORS = 0; c._DESCRIPTORS_EACH = 1; "),
    ],
    ids=["1024", "none left"],
)
def test_no_success_without_its_bytes(
    tmp_path: Path, descriptors: int, clients: int, patch: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with limited(descriptors, patch)((str(tmp_path / "store"), {}), tmp_path) as server:
        exported = publish_much(server, tmp_path)
        answers = asyncio.run(_all_downloaded(server, exported["url"], clients))
        log = server.log.stat().st_size
        say(capsys, f"ulimit -n {descriptors}: {clients} clients, {Counter(status for status, _, _ in answers)}")
        assert [answer for answer in answers if answer[1] != answer[2]] == []
        assert {status for status, _, _ in answers} <= {206, 503}
        assert sum(status == 206 for status, _, _ in answers) > descriptors / 4
        assert log < clients * 4000
        assert server.request("/healthz").status == 200


def test_idle_connections_beyond_the_descriptors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with limited(256)((str(tmp_path / "store"), {}), tmp_path) as server:
        used, logged, started = cpu_seconds(server.pid), server.log.stat().st_size, time.monotonic()
        with Clients(server, 300, b""):
            time.sleep(5)
            seconds = time.monotonic() - started
            used, logged = cpu_seconds(server.pid) - used, server.log.stat().st_size - logged
            say(
                capsys,
                f"300 idle connections, ulimit -n 256: {logged:,} bytes of log, {used:.2f} CPU s in {seconds:.1f} s",
            )
            assert logged < 10_000
            assert used < seconds / 4
            # The longest idle one gives way.
            assert server.request("/healthz").status == 200
