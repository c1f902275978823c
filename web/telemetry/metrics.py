"""``/metrics``: numbers for Prometheus, without a label that a caller can make up."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "tailrace_requests", "Requests by route and status", ["route", "method", "status"], registry=REGISTRY
)
SECONDS = Histogram(
    "tailrace_request_seconds",
    "How long requests took, downloads to their last byte",
    ["route"],
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 5, 20, 60, 300, 1800),
    registry=REGISTRY,
)
EXPORTS = Counter("tailrace_exports", "Exports that came to an end", ["format", "outcome"], registry=REGISTRY)
ROWS = Counter("tailrace_export_rows", "Rows of exports that were written", ["format"], registry=REGISTRY)
BYTES = Counter("tailrace_export_bytes", "Bytes of exports that were written", ["format"], registry=REGISTRY)
RUNNING = Gauge("tailrace_exports_running", "Exports that run now", registry=REGISTRY)
QUEUED = Gauge("tailrace_exports_queued", "Exports that wait for their turn", registry=REGISTRY)
PUBLISHES_QUEUED = Gauge("tailrace_publishes_queued", "Publications that wait for their turn", registry=REGISTRY)
QUERIES_QUEUED = Gauge("tailrace_queries_queued", "Pages, facts and statements that wait", registry=REGISTRY)
CRASHES = Counter(
    "tailrace_statement_crashes",
    "Processes of SQL statements that died of a signal that no limit sent",
    ["signal"],
    registry=REGISTRY,
)
CONNECTIONS = Gauge("tailrace_connections", "Connections of clients that are open", registry=REGISTRY)
CONNECTIONS_ENDED = Counter(
    "tailrace_connections_ended", "Connections that were closed on the client, by reason", ["reason"], registry=REGISTRY
)


async def metrics(_: Request) -> Response:
    """Answer without credentials: put it behind the proxy's own rule if that tells too much."""
    return Response(
        generate_latest(REGISTRY), headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"}
    )
