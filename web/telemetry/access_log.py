"""Middleware that logs each request when it has ended, and counts it for ``/metrics``."""

import time
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.telemetry import metrics
from web.telemetry.log_context import add_log_fields, is_disconnected, log_fields, set_current_request
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
        size: int | None = None

        async def counting_send(message: Message) -> None:
            nonlocal status, sent, size
            if message["type"] == "http.response.start":
                status = message["status"]
                length = Headers(raw=message["headers"]).get("content-length")
                size = None if length is None or scope["method"] == "HEAD" else int(length)
            await send(message)
            # What is sent after the connection has closed is dropped.
            if message["type"] == "http.response.body" and not is_disconnected(scope):
                sent += len(message.get("body", b""))

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
                if is_disconnected(scope) and size is not None and sent < size:
                    add_log_fields(scope, size=size)
                    if "ended" not in log_fields(scope):
                        # The client has closed it, not the service.
                        add_log_fields(scope, cut=True)
                        metrics.CUT.labels(route).inc()
                if route not in _UNLOGGED_ROUTES:
                    add_log_fields(scope, method=method, status=status, seconds=seconds, sent=sent, **_client(scope))
                    span.set_attributes(log_fields(scope))
                    trace_id = span.trace_id()
                    trace_field = {} if trace_id is None else {"traceId": trace_id}
                    log_event("request", {"requestId": request_id_of(scope), **trace_field, **log_fields(scope)})


def _client(scope: Scope) -> dict[str, str]:
    """The address of the client, as the connection or a trusted proxy gives it; nothing if that is not an address."""
    host, _ = scope.get("client") or ("", 0)
    try:
        return {"client": str(ip_address(host))}
    except ValueError:
        return {}
