"""Middleware that logs each request when it has ended, and counts it for ``/metrics``."""

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.telemetry import metrics
from web.telemetry.log_context import add_log_fields, log_fields, set_current_request
from web.telemetry.logs import log_event, since
from web.telemetry.request_id import request_id_of
from web.telemetry.tracing import serving

_UNLOGGED_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Polled every few seconds by machines: counted, but not logged."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class AccessLogMiddleware:
    """Wraps everything that answers a request; `RequestIdMiddleware` wraps it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        set_current_request(scope)
        started = time.monotonic()
        status = sent = 0

        async def counting_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        with serving(Headers(scope=scope)) as span:
            try:
                await self._app(scope, receive, counting_send)
            finally:
                seconds = since(started)
                # The route's pattern rather than the path: callers must not be able to make up metric labels.
                route = str(log_fields(scope).get("route", "none"))
                method = scope["method"] if scope["method"] in _METHODS else "other"
                metrics.REQUESTS.labels(route, method, str(status)).inc()
                metrics.SECONDS.labels(route).observe(seconds)
                if route not in _UNLOGGED_ROUTES:
                    add_log_fields(scope, method=method, status=status, seconds=seconds, sent=sent)
                    span.set_attributes(log_fields(scope))
                    trace_id = span.trace_id()
                    trace_field = {} if trace_id is None else {"traceId": trace_id}
                    log_event("request", {"requestId": request_id_of(scope), **trace_field, **log_fields(scope)})
