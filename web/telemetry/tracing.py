"""Traces by OpenTelemetry: the extra ``otel`` and the OTEL_ variables turn them on; without both there are none.

Spans hold what the log holds: ids, counts and sizes, never a URL, a header, a query or a value of a row.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from web.telemetry.logs import LOG

try:
    from opentelemetry import propagate, trace
except ImportError:  # of the extra otel
    trace = None  # type: ignore[assignment]  # a module elsewhere

_ASKED_BY = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_FLUSH_MILLISECONDS = 3000
_EXTRA = "is set, but what sends traces is not installed: pip install 'tailrace[otel]'"


class Span(Protocol):
    """What takes the facts of a span."""

    def tell(self, facts: Mapping[str, object]) -> None:
        """Attributes below ``tailrace.``; values that are no text, number or truth go as text."""

    def trace_id(self) -> str | None:
        """The trace's id as 32 hexadecimal digits, or None if nobody keeps it."""


class _NoSpan:
    def tell(self, facts: Mapping[str, object]) -> None:
        pass

    def trace_id(self) -> str | None:
        return None


class _Span:
    def __init__(self, span: "trace.Span") -> None:
        self._span = span

    def tell(self, facts: Mapping[str, object]) -> None:
        for name, value in facts.items():
            kept = value if isinstance(value, str | bool | int | float) else str(value)
            self._span.set_attribute(f"tailrace.{name}", kept)

    def trace_id(self) -> str | None:
        context = self._span.get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid and context.trace_flags.sampled else None


def set_up() -> None:
    """Send spans to where the environment says, once per process. Raises ValueError if the extra is missing."""
    asked = [name for name in _ASKED_BY if os.environ.get(name)]
    if not asked or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ValueError(f"{asked[0]} {_EXTRA}.") from error
    name = os.environ.get("OTEL_SERVICE_NAME", "tailrace")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # A collector that is away is told in our log's form, and changes nothing else.
    others = logging.getLogger("opentelemetry")
    others.handlers[:], others.propagate = LOG.handlers, False


def flush() -> None:
    """Send what is left, since a process that ends by a signal does nothing of the kind by itself."""
    provider = None if trace is None else trace.get_tracer_provider()
    send = getattr(provider, "force_flush", None)
    if send is not None:
        send(_FLUSH_MILLISECONDS)


def serving(headers: Mapping[str, str]) -> AbstractContextManager[Span]:
    """The span of a request, within the caller's trace if it sent a ``traceparent``."""
    return nullcontext(_NoSpan()) if trace is None else _span("request", headers)


def working(name: str) -> AbstractContextManager[Span]:
    """The span of a piece of work, within the one that is being served."""
    return nullcontext(_NoSpan()) if trace is None else _span(name)


@contextmanager
def _span(name: str, headers: Mapping[str, str] | None = None) -> Iterator[Span]:
    outer = None if headers is None else propagate.extract(headers)
    kind = trace.SpanKind.INTERNAL if headers is None else trace.SpanKind.SERVER
    with trace.get_tracer("tailrace").start_as_current_span(
        name, outer, kind, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield _Span(span)
        except BaseException as error:
            # By its type alone: its text may hold what the log must not.
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise
