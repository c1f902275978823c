"""The ideal store from the side of the bench, and what it can take in itself.

As a program (``python -m tests.bench.ideal PORT BYTES``) it sends that many bytes as blocks, over two connections.
"""

import http.client
import json
import sys
import threading
import time
from typing import Any, Self

from tests.bench.process import Helper, Sample, run_measured
from tests.helpers.azurite import ACCOUNT, connection_string

CONTAINER, RESULTS_CONTAINER = "bench", "results"
"""What contenders write into; and runs that are read from the store, if a goal puts them there."""
EXPORTS_MARKER = "exports/_tailrace-exports.json"
"""Of a service that writes into `CONTAINER`; without it, the service is unavailable."""
_CEILING_BYTES = 4 * 1024**3
_BLOCK_BYTES = 8 * 1024**2
_CONNECTIONS = 2


class Ideal:
    """The store's process; it ends with the ``with``."""

    def __enter__(self) -> Self:
        self._server = Helper("tests.bench.ideal_store")
        self.port = int(self._server.line())
        for container in (CONTAINER, RESULTS_CONTAINER):
            self._ask("PUT", f"/{ACCOUNT}/{container}?restype=container")
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.close()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._server.pid

    @property
    def connection_string(self) -> str:
        """What a client needs."""
        return connection_string(self.port)

    def keep(self, *, on: bool) -> None:
        """Keep bodies from now on, or drop them."""
        self._ask("POST", f"/-/keep?on={int(on)}")

    def empty(self, container: str = CONTAINER, *, but: str = "") -> None:
        """Forget all blocks of a container, and all blobs but one."""
        self._ask("POST", f"/-/empty?container={container}&but={but}")

    def largest(self) -> tuple[str, int]:
        """The name and the size of the largest blob that was written; ``("", 0)`` if there is none."""
        blobs: dict[str, int] = json.loads(self._ask("GET", "/-/stats"))["blobs"]
        sizes = {name: size for name, size in blobs.items() if name.startswith(f"{CONTAINER}/")}
        name, size = max(sizes.items(), key=lambda item: item[1], default=("", 0))
        return name.removeprefix(f"{CONTAINER}/"), size

    def ceiling(self) -> str:
        """What the store takes in from a client that does nothing but send, and what that costs it."""
        command = [sys.executable, "-m", "tests.bench.ideal", str(self.port), str(_CEILING_BYTES)]
        sample: Sample = run_measured(command, store=self.pid)
        self.empty()
        if sample.error:
            raise RuntimeError(f"the ideal store cannot be measured: {sample.error}")
        rate, share = _CEILING_BYTES / sample.work / 1e9, sample.store_cpu / (_CEILING_BYTES / 1e9)
        return f"takes in {rate:.1f} GB/s at {share:.2f} s of its processor time for 1 GB"

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={"Content-Length": "0"})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status not in (200, 201):
            raise RuntimeError(f"the ideal store answered {answer.status} to {path}")
        return body


def _send(port: int, size: int, number: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = bytes(_BLOCK_BYTES)
    for block in range(size // _BLOCK_BYTES):
        path = f"/{ACCOUNT}/{CONTAINER}/ceiling-{number}?comp=block&blockid={block:06d}"
        connection.request("PUT", path, body)
        answer: Any = connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise RuntimeError(f"a block was answered {answer.status}")
    connection.close()


def main() -> None:
    """Send over all connections at once, and say how long it took."""
    port, size = int(sys.argv[1]), int(sys.argv[2])
    threads = [
        threading.Thread(target=_send, args=(port, size // _CONNECTIONS, number)) for number in range(_CONNECTIONS)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps({"work": time.perf_counter() - started}) + "\n")


if __name__ == "__main__":
    main()
