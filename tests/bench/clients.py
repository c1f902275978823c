"""Many clients of the service at once, each with one connection; plain sockets, so that they take little themselves.

As a program (``python -m tests.bench.clients PORT PATHS KEY CLIENTS``) it requests each path of a JSON file, and prints
the seconds in all and of each request.
"""

import json
import socket
import sys
import threading
import time
from collections import deque
from pathlib import Path

_PATIENCE_SECONDS = 300


def main() -> None:
    """Request everything; any answer but 200 is an error."""
    port, key, clients = int(sys.argv[1]), sys.argv[3], int(sys.argv[4])
    paths = deque(json.loads(Path(sys.argv[2]).read_text("utf-8")))
    times: list[float] = []
    errors: list[str] = []

    def request() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while paths and not errors:
                try:
                    path = paths.popleft()
                except IndexError:
                    return
                started = time.perf_counter()
                line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: {key}\r\n\r\n".encode())
                answer = _answer(line)
                times.append(time.perf_counter() - started)
                if not answer.startswith(b"HTTP/1.1 200"):
                    errors.append(answer.decode("utf-8", "replace")[:300])

    threads = [threading.Thread(target=request) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise SystemExit(errors[0])
    sys.stdout.write(json.dumps({"work": time.perf_counter() - started, "times": times}) + "\n")


def _answer(line: socket.socket) -> bytes:
    """One whole answer, which has a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(line)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [part.split(b":")[1] for part in head.split(b"\r\n") if part.lower().startswith(b"content-length:")]
    while len(body) < int(lengths[0]):
        body += _some(line)
    return head + b"\r\n\r\n" + body


def _some(line: socket.socket) -> bytes:
    data = line.recv(65_536)
    if not data:
        raise SystemExit("the service closed the connection")
    return data


if __name__ == "__main__":
    main()
