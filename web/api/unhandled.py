"""Middleware that answers exceptions without a handler of their own, so that logs and metrics have their status."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.api.errors import answer_error


class AnswerUnhandled:
    """Answers 500 to an exception; if the response has started, raises it again, which closes the connection.

    Starlette's own handler of all exceptions is outside of every middleware: its answers would have no CORS headers,
    and the access log would have no status.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            # Logged even if it cannot be sent.
            response = await answer_error(Request(scope), error)
            if started:
                raise
            await response(scope, receive, send)
