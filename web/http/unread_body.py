"""Middleware that reads the rest of a request body after a response that did not need it."""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DRAIN_SECONDS = 2
_BODY_HEADERS = (b"content-length", b"transfer-encoding")


class DrainUnreadBody:
    """Discards what the client is still sending when it gets an early response, such as a 413, for a few seconds.

    If the connection closed at once, as ``Connection: close`` asks for, the client would get a reset while it sends,
    and most clients would not read the response.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not any(name in _BODY_HEADERS for name, _ in scope["headers"]):
            await self._app(scope, receive, send)
            return
        complete = False

        async def receiving() -> Message:
            nonlocal complete
            message = await receive()
            complete = not message.get("more_body", False)
            return message

        async def sending(message: Message) -> None:
            if not complete and message["type"] == "http.response.body" and not message.get("more_body", False):
                # The connection stays open until the last part of the response.
                await send({**message, "more_body": True})
                message = {"type": "http.response.body", "body": b""}
                with suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_SECONDS):
                        while not complete:
                            await receiving()
            await send(message)

        await self._app(scope, receiving, sending)
