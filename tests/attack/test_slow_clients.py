"""Single clients that stall, disconnect, or announce more than they may send."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.server import KEY, Server
from tests.load.stalling import get, stacks
from tests.web.test_interrupted_downloads import publish_much

STALL_SECONDS = 2
EXPORT = "/v4/workflows/much/data/export"
_PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slow")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with Server((str(folder / "store"), {}), folder, TAILRACE_STALL_SECONDS=str(STALL_SECONDS)) as server:
        yield server


@pytest.fixture(scope="module")
def exported(server: Server, folder: Path) -> dict[str, Any]:
    return publish_much(server, folder)


def connect(server: Server, window: int = 16 * 1024) -> socket.socket:
    line = socket.socket()
    line.settimeout(_PATIENCE_SECONDS)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    line.connect(("127.0.0.1", server.port))
    return line


def post(headers: str, body: bytes = b"", path: str = EXPORT) -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n{headers}\r\n\r\n".encode() + body


def everything(line: socket.socket) -> bytes:
    came = b""
    try:
        while data := line.recv(65536):
            came += data
    except ConnectionResetError:
        pass
    return came


def logged(server: Server, request_id: str) -> dict[str, Any]:
    """The line of a request, once it is there."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for line in server.logged():
            if line.get("requestId") == request_id:
                return line
        time.sleep(0.05)
    raise AssertionError("the request was not logged")


@pytest.mark.parametrize("what", ["download", "page of rows"])
def test_a_stalled_reader_is_disconnected(server: Server, exported: dict[str, Any], what: str) -> None:
    headers = f"x-request-id: stalls-at-{what[0]}\r\n"
    if what == "download":
        request = get(exported["url"], headers)
    else:
        request = get("/v4/workflows/much/data?limit=1000", f"{headers}x-api-key: {KEY}\r\n")
    with connect(server) as line:
        line.sendall(request)
        assert line.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        if what == "download":
            assert logged(server, f"stalls-at-{what[0]}")["ended"] == "stalled_response"
        else:
            # Its line is written when all of it is buffered; what is left shows that it was not sent.
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while b'reason="stalled_response"} 2' not in server.request("/metrics").body:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert len(everything(line)) < 4_000_000


def test_a_slow_reader_gets_everything(server: Server, exported: dict[str, Any]) -> None:
    size = 3_000_000
    with connect(server) as line:
        line.sendall(get(exported["url"], f"range: bytes=0-{size - 1}\r\nconnection: close\r\n"))
        came = b""
        # It takes three times as long as one may stall, and never stalls.
        while data := line.recv(32 * 1024, socket.MSG_WAITALL):
            came += data
            time.sleep(3 * STALL_SECONDS * 32 * 1024 / size)
    assert len(came.partition(b"\r\n\r\n")[2]) == size


@pytest.mark.parametrize("sent", [b"", b" " * 30_000], ids=["nothing", "a part"])
@pytest.mark.parametrize("length", [100_000, 8_000_000])
def test_a_stalled_body_is_refused(server: Server, sent: bytes, length: int) -> None:
    with connect(server) as line:
        line.sendall(post(f"content-length: {length}", sent))
        head, _, body = everything(line).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["code"] == "request_timeout"


@pytest.mark.parametrize("path", [EXPORT, "/v4/workflows/much/data/query", "/mcp"])
@pytest.mark.parametrize("length", [8 * 1024 * 1024 + 1, 10**15])
def test_a_length_beyond_the_limit_is_refused_at_once(server: Server, path: str, length: int) -> None:
    with connect(server) as line:
        line.sendall(post(f"content-length: {length}\r\naccept: application/json", path=path))
        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_without_a_length_ends_at_the_limit(server: Server) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with connect(server) as line:
        line.sendall(post("transfer-encoding: chunked", 129 * chunk))
        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_connection_is_closed_soon_after_a_refused_body(server: Server) -> None:
    with connect(server) as line:
        line.sendall(post(f"content-length: {10**15}"))
        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")
        started = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011, PT012  # reset, or a broken pipe
            while time.monotonic() - started < _PATIENCE_SECONDS:
                line.sendall(b" " * 1000)
                time.sleep(0.05)


@pytest.mark.parametrize(
    ("version", "headers"),
    [("1.1", "content-length: 5\r\ntransfer-encoding: chunked"), ("1.0", "transfer-encoding: chunked")],
)
def test_a_request_with_length_and_chunks_closes_the_connection(server: Server, version: str, headers: str) -> None:
    smuggled = f"GET /healthz HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n".encode()
    request = f"POST {EXPORT} HTTP/{version}\r\nhost: x\r\nx-api-key: {KEY}\r\n{headers}\r\n\r\n".encode()
    with connect(server) as line:
        line.sendall(request + b"0\r\n\r\n" + smuggled)
        came = everything(line)
    assert came.startswith(b"HTTP/1.1 400 ")
    assert came.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", [EXPORT, "/v4/workflows/much/data/query", "/mcp"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_disconnect_during_an_upload_is_one_log_line(server: Server, path: str, reset: bool) -> None:
    request_id = f"leaves{path.replace('/', '-')}-{reset}"
    with connect(server) as line:
        line.sendall(post(f"content-length: 100000\r\nx-request-id: {request_id}", b" " * 1000, path))
        if reset:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line_of_it = logged(server, request_id)
    assert (line_of_it["level"], line_of_it["event"], line_of_it["status"]) == ("info", "request", 499)
    assert [line for line in server.logged() if line.get("requestId") == request_id] == [line_of_it]
    assert stacks(server.logged()) == []
