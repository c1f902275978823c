"""Accepts connections while there is room for them.

asyncio's own accept loop has no limit. When file descriptors run out, it logs a traceback for each of hundreds of
attempts, and retries at once.
"""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from web.http.connections import Connections
from web.http.protocol import HttpProtocol
from web.telemetry.logs import LOG

BACKLOG = 2048
"""Connections that the kernel completes before they are accepted, and that wait while there is no room."""
_RETRY_SECONDS = 0.2
_LOG_INTERVAL_SECONDS = 1.0
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def listen(host: str, port: int) -> list[socket.socket]:
    """Open sockets on every address of the host. Raises OSError if there is none, or if one is in use."""
    listeners: list[socket.socket] = []
    refused: OSError | None = None
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
        try:
            listeners.append(_listener(family, address))
        except OSError as error:
            # `localhost` may resolve to an IPv6 address where IPv6 is disabled.
            if error.errno not in _NO_SUCH_ADDRESS:
                for listener in listeners:
                    listener.close()
                raise
            refused = error
    if not listeners:
        raise refused or OSError(f"{host} has no address")
    return listeners


def _listener(family: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.create_server(address, family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


class Acceptor:
    """Accepts connections and gives each a protocol. Belongs to one event loop."""

    def __init__(
        self, listeners: Sequence[socket.socket], connections: Connections, make_protocol: Callable[[], HttpProtocol]
    ) -> None:
        self._listeners = listeners
        self._connections = connections
        self._make_protocol = make_protocol
        self._tasks: set[asyncio.Task[None]] = set()
        self._logged = -_LOG_INTERVAL_SECONDS
        self._unlogged = 0

    def start(self) -> None:
        """Start accepting."""
        for listener in self._listeners:
            self._run(self._accept(listener))

    async def close(self) -> None:
        """Stop accepting, and refuse new connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._connections.wait_for_room()
            try:
                accepted, _ = await loop.sock_accept(listener)
            except ConnectionAbortedError:
                continue
            except OSError as error:
                # File descriptors or memory ran out. The client waits in the backlog.
                self._log(error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            protocol = self._make_protocol()
            self._connections.add(protocol)
            self._run(self._attach(accepted, protocol))
            # While connections wait in the backlog, sock_accept returns without yielding to the event loop.
            await asyncio.sleep(0)

    async def _attach(self, accepted: socket.socket, protocol: HttpProtocol) -> None:
        try:
            # asyncio does this for the sockets that it opens itself. Otherwise the second packet of an answer waits
            # until the client acknowledges the first, which clients delay by 40 ms.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, accepted)
        except OSError:
            # The client has already disconnected.
            self._connections.discard(protocol)
            accepted.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _log(self, error: OSError) -> None:
        self._unlogged += 1
        if time.monotonic() - self._logged < _LOG_INTERVAL_SECONDS:
            return
        facts = {"reason": error.strerror, "failed": self._unlogged, "connections": len(self._connections)}
        LOG.log(logging.WARNING, "cannot accept connections", extra={"fields": facts})
        self._logged = time.monotonic()
        self._unlogged = 0
