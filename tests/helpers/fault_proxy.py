"""A proxy between a client and the emulator that makes one kind of request fail."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from tests.helpers.azurite import connection_string

THREAD = "fault-proxy"
"""The name of the proxy's threads."""

_CHUNK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """A fault of ``times`` requests whose first line satisfies ``hits``, after ``first`` of them.

    That line begins with COPY instead of PUT if the service is to copy a block from another blob.
    """

    hits: Callable[[str], bool]
    action: str
    """``reset``, ``cut`` (after half of the body), ``changed`` (one bit of the body), ``hole`` (no response for 30 s,
    or until the fault is replaced), ``slow``, ``lost`` (the response is lost), or a status and an Azure error code such
    as ``503 ServerBusy``."""
    first: int = 0
    times: int = 10**9


BLOCK: Callable[[str], bool] = lambda line: line.startswith("PUT") and "comp=block&" in line  # noqa: E731  # one of a table
COPY: Callable[[str], bool] = lambda line: line.startswith("COPY")  # noqa: E731  # one of a table
COMMIT: Callable[[str], bool] = lambda line: line.startswith("PUT") and "comp=blocklist" in line  # noqa: E731  # one of a table
HEAD: Callable[[str], bool] = lambda line: line.startswith("HEAD")  # noqa: E731  # one of a table
READ: Callable[[str], bool] = lambda line: line.startswith("GET") and "comp=" not in line  # noqa: E731  # one of a table
READ_PART: Callable[[str], bool] = lambda line: READ(line) and ".parquet" in line  # noqa: E731  # one of a table
ANY: Callable[[str], bool] = lambda line: True  # noqa: E731  # one of a table


class FaultProxy:
    """Listens on loopback within the ``with`` block. Each connection has one request."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.fault: Fault | None = None
        self.hit = 0
        self._seen = 0
        self._lock = threading.Lock()
        self._replaced = threading.Event()
        threading.Thread(target=self._accept, daemon=True, name=THREAD).start()

    @property
    def connection_string(self) -> str:
        """The connection string of the emulator behind the proxy."""
        return connection_string(self.port)

    def inject(self, fault: Fault | None) -> None:
        """Replace the fault; None for no fault."""
        with self._lock:
            self.fault, self.hit, self._seen = fault, 0, 0
            self._replaced.set()
            self._replaced = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True, name=THREAD).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                self._one_request(client)
            except OSError:
                return

    def _one_request(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(_CHUNK)
            if not data:
                return
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        line, *headers = head.decode("latin-1").split("\r\n")
        length = next((int(h.split(":")[1]) for h in headers if h.lower().startswith("content-length:")), 0)
        copies = any(h.lower().startswith("x-ms-copy-source:") for h in headers)
        action = self._action(line.replace("PUT", "COPY", 1) if copies else line)
        if action == "hole":
            self._replaced.wait(30)
            return
        if action == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return
        if action and action[0].isdigit():
            self._receive(client, length - len(rest), None)
            status, _, code = action.partition(" ")
            answer = [
                f"HTTP/1.1 {status} Injected",
                f"x-ms-error-code: {code}",
                "Content-Length: 0",
                "Connection: close",
            ]
            client.sendall("\r\n".join([*answer, "", ""]).encode())
            return
        if action == "changed":
            rest = rest or client.recv(_CHUNK)
            rest = bytes([rest[0] ^ 1]) + rest[1:]
        passed = [h for h in headers if not h.lower().startswith("connection:")]
        with socket.create_connection(("127.0.0.1", self._upstream)) as upstream:
            upstream.sendall("\r\n".join([line, *passed, "Connection: close", "", ""]).encode("latin-1") + rest)
            wanted = length - len(rest)
            if action == "cut":
                self._receive(client, wanted // 2, upstream)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return
            self._receive(client, wanted, upstream, pause=0.02 if action == "slow" else 0)
            while data := upstream.recv(_CHUNK):
                if action == "lost":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    return
                client.sendall(data)

    def _action(self, line: str) -> str | None:
        with self._lock:
            fault = self.fault
            if fault is None or not fault.hits(line):
                return None
            self._seen += 1
            if not fault.first < self._seen <= fault.first + fault.times:
                return None
            self.hit += 1
            return fault.action

    def _receive(self, client: socket.socket, length: int, upstream: socket.socket | None, *, pause: float = 0) -> None:
        while length > 0:
            data = client.recv(min(length, _CHUNK))
            if not data:
                return
            length -= len(data)
            time.sleep(pause)
            if upstream is not None:
                upstream.sendall(data)
