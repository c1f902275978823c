"""``x-request-id`` on every response: the one that the caller sent, or a new one."""

import re
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_GRAMMAR = re.compile(rb"[A-Za-z0-9_.:;=+/@,~-]{1,128}")
"""Covers trace ids and base64; excludes everything that has a meaning in a log line, a header or HTML."""
_KEY = "tailrace.request_id"


class RequestIdMiddleware:
    """Gives each request its id. An id that could forge a log line is replaced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = [value for name, value in scope["headers"] if name == b"x-request-id"]
        usable = len(sent) == 1 and _GRAMMAR.fullmatch(sent[0])
        request_id = scope[_KEY] = sent[0].decode() if usable else str(uuid.uuid4())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


def request_id_of(scope: Scope) -> str:
    """The id of a request."""
    return str(scope.get(_KEY, ""))
