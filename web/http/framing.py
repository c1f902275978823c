"""Middleware that refuses requests whose end is ambiguous, as in request smuggling (RFC 9112, section 6.1)."""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from web.http.error_body import error_response

_CLOSE = {"connection": "close"}


class UnambiguousFraming:
    """Answers 400 and closes the connection if Transfer-Encoding comes with Content-Length, or in HTTP/1.0."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        reason = _ambiguity(scope) if scope["type"] == "http" else None
        if reason is None:
            await self._app(scope, receive, send)
            return
        response = error_response(Request(scope), 400, reason, "invalid_request", headers=_CLOSE)
        await response(scope, receive, send)


def _ambiguity(scope: Scope) -> str | None:
    headers = Headers(scope=scope)
    if "transfer-encoding" not in headers:
        return None
    if "content-length" in headers:
        return "A request has a Content-Length or a Transfer-Encoding, not both."
    if scope["http_version"] == "1.0":
        return "HTTP/1.0 has no Transfer-Encoding: send a Content-Length."
    return None
