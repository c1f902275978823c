"""``x-request-id``: echoed if it was sent, made if not, on every answer."""

import re
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_GRAMMAR = re.compile(rb"[A-Za-z0-9_.:;=+/@,~-]{1,128}")
"""Also that of traces and of base 64; nothing that a log, a header or a page could take for its own."""
_KEY = "tailrace.request_id"


class RequestIds:
    """Middleware that gives each request its id. One that could forge a log line is replaced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
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
    """The id of the request that is being served."""
    return str(scope.get(_KEY, ""))
