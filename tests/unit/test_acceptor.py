"""What the service does with a connection that it accepts."""

import asyncio
import socket
from typing import cast

from web.http.acceptor import Acceptor, listen
from web.http.connections import Connections
from web.http.protocol import HttpProtocol


class _Accepted(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Future[asyncio.BaseTransport] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport.set_result(transport)


async def _no_delay() -> int:
    listeners, protocol = listen("127.0.0.1", 0), _Accepted()
    acceptor = Acceptor(listeners, Connections(limit=1, stall_seconds=1), lambda: cast("HttpProtocol", protocol))
    acceptor.start()
    _, writer = await asyncio.open_connection(*listeners[0].getsockname())
    transport = await protocol.transport
    option = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    transport.close()
    writer.close()
    await writer.wait_closed()
    await acceptor.close()
    return int(option)


def test_small_packets_are_sent_without_delay() -> None:
    assert asyncio.run(_no_delay()) == 1
