"""Each request head of a connection has a time limit; what follows the head has another."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from web.http.connections import Connections
from web.http.protocol import HttpProtocol

HEAD_SECONDS = 0.2
STALL_SECONDS = 2
WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
_PATIENCE_SECONDS = 20
"""A bound for what arrives at once or never."""

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer after longer than a head may take, with the length of the body."""
    body = await Request(scope, receive).body()
    await asyncio.sleep(3 * HEAD_SECONDS)
    await Response(str(len(body)))(scope, receive, send)


def served(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a client against a server with these connections."""
    monkeypatch.setattr(HttpProtocol, "head_seconds", HEAD_SECONDS)

    async def run() -> None:
        config, state = uvicorn.Config(_app, http=HttpProtocol, log_config=None, timeout_keep_alive=1), ServerState()
        connections = Connections(limit=10, stall_seconds=STALL_SECONDS)

        def protocol() -> HttpProtocol:
            made = HttpProtocol(config, state, {}, connections)
            connections.add(made)
            return made

        rounds = asyncio.create_task(connections.run())
        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        async with server, asyncio.timeout(_PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await client(reader, writer)
            writer.close()
            await writer.wait_closed()
        rounds.cancel()

    asyncio.run(run())


@pytest.mark.parametrize("sent", [b"", b"G", WHOLE[:-2], WHOLE[:-1]], ids=["nothing", "a byte", "half", "nearly all"])
@pytest.mark.parametrize("before", [0, 1], ids=["first", "second"])
def test_a_connection_without_a_complete_head_is_closed_in_time(
    monkeypatch: pytest.MonkeyPatch, before: int, sent: bytes
) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(before):
            writer.write(WHOLE)
            assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
        writer.write(sent)
        assert await reader.read() == b""

    served(client, monkeypatch)


def test_the_time_limit_of_heads_does_not_apply_to_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\n")
        await asyncio.sleep(HEAD_SECONDS / 4)
        writer.write(b"content-length: 2\r\n\r\na")
        await asyncio.sleep(2 * HEAD_SECONDS)
        writer.write(b"b")
        assert (await reader.readuntil(b"\r\n\r\n2")).startswith(b"HTTP/1.1 200")
        # The next one has its own.
        writer.write(WHOLE)
        assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")

    served(client, monkeypatch)
