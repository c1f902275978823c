"""Clients that disconnect during a download, and clients that resume it."""

import hashlib
import http.client
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.exports.sweep import DOWNLOAD_GRACE
from tests.helpers.altered import AlteredServer
from tests.helpers.folders import files_below
from tests.helpers.server import Server
from tests.helpers.stores import on_azure

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no `curl` on the PATH")
ROWS, CELL_BYTES = 2_000, 8_000


def publish_much(server: Server, folder: Path) -> dict[str, Any]:
    """Publish and export 16 MB that do not compress."""
    source = folder / "much.csv"
    chance = random.Random(7)
    source.write_text("id,text\n" + "".join(f"{n},{chance.randbytes(CELL_BYTES // 2).hex()}\n" for n in range(ROWS)))
    server.publish("--workflow", "much", "--run", "r1", str(source))
    answer: dict[str, Any] = server.export("much").json()
    return answer


@pytest.fixture(scope="module")
def server(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(module_store_url, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def exported(server: Server) -> dict[str, Any]:
    return publish_much(server, server.folder)


def still_open(server: Server) -> list[str]:
    """Open files of the store and connections of clients; connections to Azure are pooled and do not count."""
    assert server._process is not None
    names = set()
    for link in Path(f"/proc/{server._process.pid}/fd").iterdir():
        try:
            names.add(str(link.readlink()))
        except FileNotFoundError:
            continue
    listening, sockets = "0A", Path("/proc/net/tcp").read_text().splitlines()[1:]
    of_clients = {
        f"socket:[{inode}]"
        for _, local, _, state, _, _, _, _, _, inode, *_ in map(str.split, sockets)
        if local.endswith(f":{server.port:04X}") and state != listening
    }
    return [name for name in names if name in of_clients or "/store/" in name]


def client_of(server: Server, url: str) -> socket.socket:
    """A client that has requested the URL, and has a small window."""
    parts = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    client.connect(("127.0.0.1", server.port))
    client.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def cut(server: Server, url: str, *, reset: bool) -> None:
    """Read a little of a download, then disconnect."""
    with client_of(server, url) as client:
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_a_client_that_disconnects_leaves_no_open_file(server: Server, exported: dict[str, Any]) -> None:
    before = len(server.logged())
    for number in range(12):
        cut(server, exported["url"], reset=number % 2 == 0)
    deadline = time.monotonic() + 10
    while still_open(server) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert still_open(server) == []
    whole = server.request(exported["url"]).body
    assert hashlib.sha256(whole).hexdigest() == exported["sha256"]
    log = server.logged()[before:]
    assert len(log) > 12
    assert {line["level"] for line in log} == {"info"}


def test_a_cut_download_is_logged_with_its_size_and_counted(server: Server, exported: dict[str, Any]) -> None:
    route = "/v4/workflows/{workflow_id}/data/exports/{export_id}/{file_name}"
    before, counted = len(server.logged()), server.metric("tailrace_responses_cut_total", route=route)
    assert server.request(exported["url"]).status == 200
    cut(server, exported["url"], reset=True)
    deadline = time.monotonic() + 30
    while len(found := [line for line in server.logged()[before:] if line.get("route") == route]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    whole, line = found
    assert "cut" not in whole
    assert (whole["sent"], whole["status"]) == (exported["sizeBytes"], 200)
    wanted = {"cut": True, "size": exported["sizeBytes"], "status": 200, "client": "127.0.0.1", "kid": "k1"}
    of_export = {"team": "acme", "workflow_id": "much", "export_id": exported["exportId"]}
    assert line.items() >= (wanted | of_export).items()
    assert 0 < line["sent"] < exported["sizeBytes"]
    assert server.metric("tailrace_responses_cut_total", route=route) == counted + 1


def test_a_file_that_becomes_shorter_ends_the_connection_and_is_logged_once(tmp_path: Path) -> None:
    with Server((str(tmp_path / "store"), {}), tmp_path) as server:
        exported = publish_much(server, tmp_path)
        (file,) = (path for path in files_below(tmp_path / "store/exports") if path.suffix == ".csv")
        with client_of(server, exported["url"]) as client:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
            os.truncate(file, CELL_BYTES)
            received = sum(map(len, iter(lambda: client.recv(65536), b"")))
        assert received < exported["sizeBytes"]
        deadline = time.monotonic() + 10
        while not any("status" in line and line["event"] == "request" and line.get("code") for line in server.logged()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    (line,) = (line for line in server.logged() if "stack" in line)
    assert (line["event"], "ended before" in line["stack"], bool(line["requestId"])) == ("failed", True, True)


def test_a_download_may_finish_after_its_url_expires(store_url: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    with AlteredServer(store_url, tmp_path) as server:
        exported = publish_much(server, tmp_path)
        parts = urlsplit(exported["url"])
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.connect()
        # A little window, so that most of the file is still to be read.
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        content = answer.read(CELL_BYTES)
        # The file is kept for a quarter longer than its URL, and for an hour more.
        gone = timedelta(days=1.25) + DOWNLOAD_GRACE
        server.move_time(gone - timedelta(minutes=5))
        assert server.request(exported["url"]).json()["code"] == "url_expired"
        assert server.command("sweep").stdout == "0 bytes in total; 1 export remains.\n"
        content += answer.read()
        connection.close()
        server.move_time(gone)
        assert server.command("sweep").stdout.startswith("Removed 1 export.\n")
    assert hashlib.sha256(content).hexdigest() == exported["sha256"]


def curl(*arguments: str) -> int:
    return subprocess.run(["curl", "-sS", "-L", *arguments], capture_output=True, check=False, timeout=60).returncode


def resume(exported: dict[str, Any], folder: Path) -> None:
    """Cut a download by a time and by a range, and let curl fetch the rest."""
    url, size = exported["url"], exported["sizeBytes"]
    cut_off, by_range = folder / "cut.csv", folder / "range.csv"
    # 28: the time is over, which is how it is cut. curl sleeps to keep to its rate, and is ahead of it before.
    assert curl("--limit-rate", "1M", "--max-time", "1.5", "-o", str(cut_off), url) == 28
    assert 0 < cut_off.stat().st_size < size
    assert curl("-r", f"0-{size // 3}", "-o", str(by_range), url) == 0
    assert by_range.stat().st_size == size // 3 + 1
    for part in (cut_off, by_range):
        assert curl("-C", "-", "-o", str(part), url) == 0
        assert hashlib.sha256(part.read_bytes()).hexdigest() == exported["sha256"]


@needs_curl
def test_curl_resumes_an_interrupted_download(exported: dict[str, Any], tmp_path: Path) -> None:
    resume(exported, tmp_path)


@needs_curl
@on_azure
def test_curl_resumes_an_interrupted_download_from_the_store(
    store_url: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    with Server(store_url, tmp_path, TAILRACE_DOWNLOAD_MODE="redirect") as server:
        resume(publish_much(server, tmp_path), tmp_path)
