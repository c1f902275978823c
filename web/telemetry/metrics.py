"""Metrics for Prometheus at ``/metrics``; no label has a value that a caller can make up."""

import anyio
import anyio.to_thread
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "tailrace_requests", "Requests by route and status", ["route", "method", "status"], registry=REGISTRY
)
SECONDS = Histogram(
    "tailrace_request_seconds",
    "Time until the last byte of the response",
    ["route"],
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 5, 20, 60, 300, 1800),
    registry=REGISTRY,
)
CUT = Counter(
    "tailrace_responses_cut", "Responses whose client closed the connection before their end", ["route"],
    registry=REGISTRY,
)  # fmt: skip
EXPORTS = Counter("tailrace_exports", "Exports that ended, by outcome", ["format", "outcome"], registry=REGISTRY)
ROWS = Counter("tailrace_export_rows", "Rows written by exports", ["format"], registry=REGISTRY)
BYTES = Counter("tailrace_export_bytes", "Bytes written by exports", ["format"], registry=REGISTRY)
RUNNING = Gauge("tailrace_exports_running", "Exports that are running", registry=REGISTRY)
QUEUED = Gauge("tailrace_exports_queued", "Exports in the queue", registry=REGISTRY)
_WAITING_BUCKETS = (0.01, 0.1, 1, 5, 30, 60, 300, 1800, 3600)
ASYNC_SECONDS = Histogram(
    "tailrace_async_export_seconds",
    "Time from the request for an asynchronous export to its end, by outcome",
    ["outcome"],
    buckets=(0.1, 0.5, 1, 5, 20, 60, 300, 1800, 3600, 7200),
    registry=REGISTRY,
)
QUEUE_SECONDS = Histogram(
    "tailrace_queue_seconds",
    "Time that exports, publishes and queries waited for a slot, or until they gave up",
    ["queue"],
    buckets=_WAITING_BUCKETS,
    registry=REGISTRY,
)
EXPORT_QUEUE_SECONDS, PUBLISH_QUEUE_SECONDS, QUERY_QUEUE_SECONDS = (
    QUEUE_SECONDS.labels(queue) for queue in ("exports", "publishes", "queries")
)
PUBLISHES_QUEUED = Gauge("tailrace_publishes_queued", "Publishes in the queue", registry=REGISTRY)
QUERIES_QUEUED = Gauge(
    "tailrace_queries_queued", "Pages, column profiles, SQL statements and lists in the queue", registry=REGISTRY
)
CRASHES = Counter(
    "tailrace_statement_crashes",
    "SQL worker processes killed by a signal that was not sent to enforce a limit",
    ["signal"],
    registry=REGISTRY,
)
CONNECTIONS = Gauge("tailrace_connections", "Open client connections", registry=REGISTRY)
CONNECTIONS_ENDED = Counter(
    "tailrace_connections_ended", "Connections closed by the service, by reason", ["reason"], registry=REGISTRY
)
_READING = anyio.CapacityLimiter(1)
"""A disk that hangs must delay neither the event loop nor other threads."""


async def metrics(_: Request) -> Response:
    """Return the metrics. It needs no credentials: restrict access at the proxy."""
    text = await anyio.to_thread.run_sync(generate_latest, REGISTRY, limiter=_READING)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"})
