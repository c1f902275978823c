"""Traces as a collector gets them: requests, their exports, the caller's own trace, and no secret."""

import signal
from pathlib import Path
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.helpers.azurite import free_port
from tests.helpers.collector import Collector
from tests.helpers.server import KEY, Server
from tests.web.conftest import publish_people

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
EXPORT = "/v4/workflows/people/data/export"


def _facts(span: Span) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in span.attributes}


def test_a_request_and_its_export_are_spans_of_the_callers_trace(tmp_path: Path) -> None:
    with Collector() as collector:
        with Server((str(tmp_path / "store"), {}), tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as server:
            publish_people(server, tmp_path)
            headers = {"x-api-key": KEY, "traceparent": f"00-{TRACE}-{PARENT}-01"}
            made = server.request(f"{EXPORT}?sortBy=name", headers=headers).json()
            server.request(made["url"])
            server.request(f"{EXPORT}?sortBy=secret-field", headers=headers)
            # The stop sends what is left.
            server.stop(signal.SIGTERM)
        spans = collector.kept.spans
        served = [span for span in spans if span.trace_id.hex() == TRACE and span.name == "request"]
        (export,) = [span for span in spans if span.name == "export"]
        (answered,) = [span for span in served if _facts(span)["tailrace.status"] == 200]
        assert export.trace_id.hex() == TRACE
        assert export.parent_span_id == answered.span_id
        assert answered.parent_span_id.hex() == PARENT
        assert answered.kind == Span.SPAN_KIND_SERVER
        assert _facts(answered)["tailrace.route"] == "/v4/workflows/{workflow_id}/data/export"
        told = {"team": "acme", "workflow_id": "people", "rows": 3, "bytes": made["sizeBytes"]}
        assert _facts(export).items() >= {f"tailrace.{name}": value for name, value in told.items()}.items()
        assert [_facts(span)["tailrace.status"] for span in served] == [200, 400]
        sent = b"".join(collector.kept.raw)
        signature = made["url"].partition("sig=")[2]
        assert not any(secret.encode() in sent for secret in (KEY, signature, "secret-field", "Zürich"))
        # Who reads the log finds the trace.
        assert [line["status"] for line in server.logged() if line.get("traceId") == TRACE] == [200, 400]


def test_an_export_that_fails_is_told_by_the_type_of_its_error(tmp_path: Path) -> None:
    with Collector() as collector:
        with Server((str(tmp_path / "store"), {}), tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as server:
            publish_people(server, tmp_path)
            for part in (tmp_path / "store" / "results").rglob("*.parquet"):
                part.unlink()
            assert server.export("people").status == 500
            server.stop(signal.SIGTERM)
        (export,) = [span for span in collector.kept.spans if span.name == "export"]
        assert (export.status.code, export.status.message) == (Status.STATUS_CODE_ERROR, "SourceDamaged")
        assert list(export.events) == []


def test_a_collector_that_is_away_changes_nothing(tmp_path: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with Server((str(tmp_path / "store"), {}), tmp_path, **settings) as server:
        publish_people(server, tmp_path)
        assert server.export("people").status == 200
    # What it has to say is told in the log's own form.
    assert {"event"} <= set.intersection(*map(set, server.logged()))
