"""A line that is far away: a TCP proxy, a process of its own, with a delay and a rate for each connection.

As a program (``python -m tests.bench.proxy PORT``) it tells a free port that it listens on, and ends with its parent.
"""

import asyncio
import contextlib
import subprocess
import sys
from types import TracebackType
from typing import Self

from tests.bench.process import environment
from tests.bench.settings import ROOT

DELAY_SECONDS = 0.015
BYTES_PER_SECOND = 50_000_000
_PIECE_BYTES = 256 * 1024
_PIECES_UNDER_WAY = 8
_LATE_SECONDS = 0.02
"""How late a timer may be before the rate suffers from it."""


class Proxy:
    """The proxy from the side of the benchmark; its process ends with the ``with``."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.bench.proxy", str(self._upstream)]
        self._process = subprocess.Popen(
            command, env=environment(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._process.stdout is None:
            raise RuntimeError("the proxy tells no port")
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


async def _serve(upstream: int) -> None:
    async def connected(client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        try:
            server, send = await asyncio.open_connection("127.0.0.1", upstream, limit=_PIECE_BYTES)
        except OSError:
            answer.close()
            return
        # The delay is that of a round trip, so one direction has all of it.
        there, back = _pump(client, send, 0.0), _pump(server, answer, DELAY_SECONDS)
        await asyncio.gather(there, back)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_PIECE_BYTES)
    sys.stdout.write(f"{listener.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    # Standard input ends when the benchmark does, however it does.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass one direction on: at the rate, and each piece that much later than it came."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES_UNDER_WAY)

    async def take() -> None:
        free = 0.0
        while True:
            try:
                data = await reader.read(_PIECE_BYTES)
            except ConnectionError:
                data = b""
            free = max(free, loop.time() - _LATE_SECONDS) + len(data) / BYTES_PER_SECOND
            await pieces.put((free + delay, data))
            if not data:
                return
            await asyncio.sleep(free - loop.time())

    taking = asyncio.create_task(take())
    with contextlib.suppress(ConnectionError):
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()
    taking.cancel()
    with contextlib.suppress(ConnectionError):
        writer.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
