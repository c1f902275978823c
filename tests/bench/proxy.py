"""A line that is far away: a TCP proxy, a process of its own, with a delay and a rate.

As a program (``python -m tests.bench.proxy PORT BYTES_PER_SECOND each|all``) it prints the free port that it listens
on, and ends with its parent. The rate is that of each connection in each direction, or of all together.
"""

import contextlib
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.bench.process import Helper

DELAY_SECONDS = 0.015
BYTES_PER_SECOND = 50_000_000
_PIECE_BYTES = 256 * 1024
_PIECES_UNDER_WAY = 8
_LATE_SECONDS = 0.02
"""How late a timer may be before the rate suffers from it."""


class Proxy:
    """The proxy from the side of the benchmark; its process ends with the ``with``."""

    def __init__(self, upstream: int, *, rate: int = BYTES_PER_SECOND, shared: bool = False) -> None:
        self._arguments = (str(upstream), str(rate), "all" if shared else "each")

    def __enter__(self) -> Self:
        self._process = Helper("tests.bench.proxy", *self._arguments)
        self.port = int(self._process.line())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.close()


class _Rate:
    """So many bytes a second, for all who share it."""

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._free = 0.0
        self._mutex = threading.Lock()

    def take(self, size: int) -> float:
        """When bytes that came now have passed."""
        with self._mutex:
            self._free = max(self._free, time.monotonic() - _LATE_SECONDS) + size / self._bytes_per_second
            return self._free


def _serve(upstream: int, rate: int, *, shared: bool) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    one = _Rate(rate)
    rates = (lambda: one) if shared else (lambda: _Rate(rate))
    threading.Thread(target=_accept, args=(listener, upstream, rates), daemon=True).start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    # Standard input ends when the benchmark does, however it does.
    sys.stdin.read()


def _accept(listener: socket.socket, upstream: int, rates: Callable[[], _Rate]) -> None:
    while True:
        client, _ = listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", upstream))
        except OSError:
            client.close()
            continue
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The delay is that of a round trip, so one direction has all of it.
        for source, target, delay in ((client, server, 0.0), (server, client, DELAY_SECONDS)):
            threading.Thread(target=_pump, args=(source, target, delay, rates()), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, delay: float, rate: _Rate) -> None:
    """Pass one direction on: at the rate, and each piece that much later than it came.

    A thread with plain sockets takes half of the processor that streams of asyncio do; a line takes none.
    """
    pieces: deque[tuple[float, bytes]] = deque()
    free, over = 0.0, False
    with contextlib.suppress(OSError):
        while pieces or not over:
            now = time.monotonic()
            if pieces and pieces[0][0] <= now:
                target.sendall(pieces.popleft()[1])
                continue
            waits = [pieces[0][0] - now] if pieces else []
            wanted = not over and len(pieces) < _PIECES_UNDER_WAY
            if wanted and free <= now:
                if select.select([source], [], [], min(waits, default=None))[0]:
                    data = source.recv(_PIECE_BYTES)
                    over = not data
                    free = rate.take(len(data))
                    pieces += [(max(free, time.monotonic()) + delay, data)] if data else []
                continue
            time.sleep(min(waits + ([free - now] if wanted else [])))
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]), shared=sys.argv[3] == "all")
