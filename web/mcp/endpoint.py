"""``/mcp``: the tools over streamable HTTP without sessions, for callers with a key or a token."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.api.request_body import received_body
from web.auth.authenticator import Authenticator
from web.auth.request_auth import authenticate_scope
from web.mcp.origin import allows_origin
from web.mcp.tools import make_server
from web.telemetry.log_context import add_log_fields

PATH = "/mcp"
_FORWARDED = ("x-api-key", "authorization")


def _with_body(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that replays a body which has been read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


class Endpoint:
    """An ASGI application that calls the API of another one. It serves while `running` is entered."""

    def __init__(self, api: ASGIApp, authenticator: Authenticator, base_url: str) -> None:
        self._api = api
        self._authenticator = authenticator
        self._base_url = base_url
        self._handle: ASGIApp | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block runs."""
        server = make_server(self._client)
        server.streamable_http_app(
            stateless_http=True,
            json_response=True,
            # The SDK can allow only fixed hosts; `allows_origin` checks against the base URL instead.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        async with server.session_manager.run():
            self._handle = server.session_manager.handle_request
            yield
        self._handle = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a POST. Raises HTTPException for a foreign ``Origin``, then InvalidCredentials."""
        add_log_fields(scope, route=PATH)
        if not allows_origin(scope["headers"], self._base_url):
            raise HTTPException(
                403,
                "Web pages of this origin may not call /mcp: use a page of the service, or no browser",
            )
        if scope["method"] != "POST":
            raise HTTPException(405, "Method Not Allowed", {"allow": "POST"})
        principal = await authenticate_scope(scope, self._authenticator)
        if self._handle is None:
            raise HTTPException(503, "The service is starting or stopping", {"retry-after": "1"})
        async with received_body(Request(scope, receive), principal.team) as body:
            # The SDK itself does not limit the length of bodies.
            await self._handle(scope, _with_body(body, receive), _with_no_store(send))

    def _client(self, context: Context[Any, Any]) -> AbstractAsyncContextManager[httpx2.AsyncClient]:
        headers = context.headers or {}
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self._api),
            base_url="http://tailrace",
            headers={name: headers[name] for name in _FORWARDED if name in headers},
            timeout=None,
        )


def _with_no_store(send: Send) -> Send:
    """Forbid caching, since responses may contain rows."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["cache-control"] = "no-store"
        await send(message)

    return sending
