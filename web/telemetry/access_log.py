"""Middleware that sees every request to its end: one line in the log, and the numbers of ``/metrics``."""

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.telemetry import metrics
from web.telemetry.log_context import facts_of, note, serve
from web.telemetry.logs import since, tell
from web.telemetry.request_id import request_id_of
from web.telemetry.tracing import serving

_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: counted, not logged."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Watch:
    """Stands outside of everything that answers, and inside of what gives requests their ids."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        serve(scope)
        started = time.monotonic()
        status = sent = 0

        async def counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        with serving(Headers(scope=scope)) as span:
            try:
                await self._app(scope, receive, counted)
            finally:
                seconds = since(started)
                # The pattern, never the path: ids are facts of their own, and strangers' paths are nobody's.
                route = str(facts_of(scope).get("route", "none"))
                method = scope["method"] if scope["method"] in _METHODS else "other"
                metrics.REQUESTS.labels(route, method, str(status)).inc()
                metrics.SECONDS.labels(route).observe(seconds)
                if route not in _QUIET:
                    note(scope, method=method, status=status, seconds=seconds, sent=sent)
                    span.tell(facts_of(scope))
                    trace_id = span.trace_id()
                    traced = {} if trace_id is None else {"traceId": trace_id}
                    tell("request", {"requestId": request_id_of(scope), **traced, **facts_of(scope)})
