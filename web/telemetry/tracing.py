"""OpenTelemetry traces, turned on by the extra ``otel`` together with the OTEL_ variables.

Spans have the attributes that the log has: ids, counts and sizes, never a URL, a header, a query or a cell value.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from web.telemetry.logs import LOG

try:
    from opentelemetry import propagate, trace
except ImportError:  # without the extra otel
    trace = None  # type: ignore[assignment]  # otherwise a module

_ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_FLUSH_MILLISECONDS = 3000
_MISSING_EXTRA = "is set, but the trace exporter is not installed: pip install 'tailrace[otel]'"


class Span(Protocol):
    """A span, or its stand-in when there are no traces."""

    def set_attributes(self, fields: Mapping[str, object]) -> None:
        """Set attributes with the prefix ``tailrace.``; other values than strings, numbers and booleans become text."""

    def trace_id(self) -> str | None:
        """The trace's id as 32 hexadecimal digits, or None if the trace is not sampled."""


class _NoSpan:
    def set_attributes(self, fields: Mapping[str, object]) -> None:
        pass

    def trace_id(self) -> str | None:
        return None


class _Span:
    def __init__(self, span: "trace.Span") -> None:
        self._span = span

    def set_attributes(self, fields: Mapping[str, object]) -> None:
        for name, value in fields.items():
            attribute = value if isinstance(value, str | bool | int | float) else str(value)
            self._span.set_attribute(f"tailrace.{name}", attribute)

    def trace_id(self) -> str | None:
        context = self._span.get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid and context.trace_flags.sampled else None


def set_up() -> None:
    """Export spans as the OTEL_ variables say. Call it once. Raises ValueError if the extra is missing."""
    endpoints = [name for name in _ENDPOINT_VARIABLES if os.environ.get(name)]
    if not endpoints or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ValueError(f"{endpoints[0]} {_MISSING_EXTRA}.") from error
    name = os.environ.get("OTEL_SERVICE_NAME", "tailrace")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # An unreachable collector is logged as JSON like everything else.
    exporter_log = logging.getLogger("opentelemetry")
    exporter_log.handlers[:], exporter_log.propagate = LOG.handlers, False


def flush() -> None:
    """Send the remaining spans; a process that a signal ends does not do so by itself."""
    provider = None if trace is None else trace.get_tracer_provider()
    send = getattr(provider, "force_flush", None)
    if send is not None:
        send(_FLUSH_MILLISECONDS)


def serving(headers: Mapping[str, str]) -> AbstractContextManager[Span]:
    """A span for a request, within the caller's trace if it sent a ``traceparent``."""
    return nullcontext(_NoSpan()) if trace is None else _span("request", headers)


def working(name: str) -> AbstractContextManager[Span]:
    """A span for a job, within the span of the current request."""
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
            # The type alone: the message may contain what must not be traced.
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise
