"""Clients that stop reading or sending, many at once, and what they cost the service."""

import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.helpers.server import Server

_PATIENCE_SECONDS = 60
_WINDOW_BYTES = 4096


def get(url: str, headers: str = "") -> bytes:
    """A GET of a path or a URL as bytes."""
    parts = urlsplit(url)
    return f"GET {parts.path}?{parts.query} HTTP/1.1\r\nhost: x\r\n{headers}\r\n".encode()


class Clients:
    """Connections to a service, each of which has sent the same bytes, or as many of them as the service took."""

    def __init__(self, server: Server, number: int, request: bytes) -> None:
        self._server = server
        self._number = number
        self._request = request
        self._stack = ExitStack()
        self.lines: list[socket.socket] = []

    def __enter__(self) -> Self:
        for _ in range(self._number):
            line = self._stack.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW_BYTES)
            line.connect(("127.0.0.1", self._server.port))
            line.setblocking(False)
            self.lines.append(line)
        self._send(self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def heads(self, number: int) -> list[bytes]:
        """The first bytes of so many responses, once they are there."""
        found: list[bytes] = []
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with selectors.DefaultSelector() as selector:
            for client in self.lines:
                selector.register(client, selectors.EVENT_READ)
            while len(found) < number:
                assert time.monotonic() < deadline, f"{len(found)} of {number} responses began"
                for key, _ in selector.select(0.1):
                    line = key.fileobj
                    assert isinstance(line, socket.socket)
                    selector.unregister(line)
                    try:
                        found.append(line.recv(1024))
                    except ConnectionResetError:
                        found.append(b"")
        return found

    def _send(self, request: bytes) -> None:
        """Send until nothing more is taken for a second."""
        left = dict.fromkeys(self.lines, memoryview(request))
        with selectors.DefaultSelector() as selector:
            for client in self.lines:
                selector.register(client, selectors.EVENT_WRITE)
            while ready := selector.get_map() and selector.select(1):
                for key, _ in ready:
                    line = key.fileobj
                    assert isinstance(line, socket.socket)
                    try:
                        left[line] = left[line][line.send(left[line][: 256 * 1024]) :]
                    except ConnectionError:
                        left[line] = memoryview(b"")
                    if not left[line]:
                        selector.unregister(line)


def rss_mb(pid: int) -> float:
    """The memory that a process has now."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def settled_rss_mb(pid: int) -> float:
    """The memory of a process once it grows no more."""
    latest, before = rss_mb(pid), 0.0
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while latest > before + 1 and time.monotonic() < deadline:
        before = latest
        time.sleep(1)
        latest = rss_mb(pid)
    return latest


def stacks(log: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """The lines of a log that are no ordinary ones."""
    return [line for line in log if "stack" in line or line["level"] in ("error", "critical")]
