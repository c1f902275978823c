"""A load balancer: it sends each request to the next replica that is ready, and never sends one twice."""

import http.client
import select
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

_CHUNK = 64 * 1024
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "host"})
_READY_SECONDS = 120
_TIMEOUT_SECONDS = 120


class _Replica:
    """One replica, whether it is ready, and connections to it that are not in use."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.ready = False
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def check(self) -> None:
        """Ask whether it is ready, by a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/readyz")
            self.ready = connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            self.ready = False
        finally:
            connection.close()

    def take(self) -> http.client.HTTPConnection:
        """A connection that is open still, or a new one."""
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                # A readable one has been closed by the replica.
                if connection.sock and not select.select([connection.sock], [], [], 0)[0]:
                    return connection
                connection.close()
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_SECONDS)

    def give_back(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        """Keep a connection for another request, unless the replica said that it closes it."""
        if answer.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            for connection in self._idle:
                connection.close()


class RoundRobin:
    """Listens on loopback within the ``with`` block; ``base`` is its address.

    A replica whose ``/readyz`` is not a 200 gets no further requests until it is one again; the check is repeated
    every ``check_seconds``. A request that fails at its replica is a 502, and is counted in ``failures``.
    """

    def __init__(self, ports: Sequence[int], *, check_seconds: float = 1.0) -> None:
        self._replicas = [_Replica(port) for port in ports]
        self._check_seconds = check_seconds
        self._lock = threading.Lock()
        self._next = 0
        self._stopped = threading.Event()
        self.answered: Counter[int] = Counter()
        """Answers by the port of the replica."""
        self.failures: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        for replica in self._replicas:
            threading.Thread(target=self._watch, args=(replica,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        for replica in self._replicas:
            replica.close()

    def wait_until_ready(self, port: int, *, ready: bool = True) -> None:
        """Wait until the balancer has seen that a replica is ready, or that it is not."""
        (replica,) = (each for each in self._replicas if each.port == port)
        deadline = time.monotonic() + _READY_SECONDS
        while replica.ready != ready:
            if time.monotonic() > deadline:
                raise TimeoutError(f"replica {port} ready: {replica.ready}")
            time.sleep(0.02)

    def _watch(self, replica: _Replica) -> None:
        replica.check()
        while not self._stopped.wait(self._check_seconds):
            replica.check()

    def _choose(self) -> _Replica | None:
        with self._lock:
            for _ in self._replicas:
                self._next = (self._next + 1) % len(self._replicas)
                if self._replicas[self._next].ready:
                    return self._replicas[self._next]
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        balancer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class has it
                pass

            def do_GET(self) -> None:
                balancer._pass_on(self)

            do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815  # as above

        return Handler

    def _pass_on(self, client: BaseHTTPRequestHandler) -> None:
        replica = self._choose()
        if replica is None:
            self._fail(client, "no replica is ready")
            return
        body = client.rfile.read(int(client.headers.get("content-length") or 0))
        headers = {name: value for name, value in client.headers.items() if name.lower() not in _HOP_BY_HOP}
        headers["x-forwarded-for"] = client.client_address[0]
        connection = replica.take()
        try:
            connection.request(client.command, client.path, body or None, headers)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._fail(client, f"{replica.port}: {error!r}")
            return
        if self._answer(client, answer, replica):
            with self._lock:
                self.answered[replica.port] += 1
            replica.give_back(connection, answer)
        else:
            # The status is sent, so all that is left is to cut the answer.
            connection.close()
            client.close_connection = True

    def _answer(self, client: BaseHTTPRequestHandler, answer: http.client.HTTPResponse, replica: _Replica) -> bool:
        """Pass an answer on; False if the client left, or the replica cut it, which alone is a failure."""
        client.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                client.send_header(name, value)
        if answer.length is None:
            client.send_header("connection", "close")
        client.end_headers()
        while True:
            try:
                data = answer.read(_CHUNK)
                if not data and answer.length:
                    raise http.client.IncompleteRead(b"", answer.length)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{replica.port}: cut: {error!r}")
                return False
            if not data:
                return True
            try:
                client.wfile.write(data)
            except OSError:
                return False

    def _fail(self, client: BaseHTTPRequestHandler, reason: str) -> None:
        self.failures.append(reason)
        with suppress(OSError):
            client.send_error(502, "Bad Gateway")
