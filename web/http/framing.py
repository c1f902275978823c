"""Middleware that refuses requests whose end two readers could see at different places (RFC 9112, section 6.1)."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from web.api.errors import answer_error

_CLOSE = {"connection": "close"}


class UnambiguousFraming:
    """Answers 400 and closes the connection where a Transfer-Encoding comes with a Content-Length, or in HTTP/1.0."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        reason = _ambiguity(scope) if scope["type"] == "http" else None
        if reason is None:
            await self._app(scope, receive, send)
            return
        response = await answer_error(Request(scope), HTTPException(400, reason, _CLOSE))
        await response(scope, receive, send)


def _ambiguity(scope: Scope) -> str | None:
    headers = Headers(scope=scope)
    if "transfer-encoding" not in headers:
        return None
    if "content-length" in headers:
        return "A request has a Content-Length or a Transfer-Encoding, not both"
    if scope["http_version"] == "1.0":
        return "HTTP/1.0 has no Transfer-Encoding: send a Content-Length"
    return None
