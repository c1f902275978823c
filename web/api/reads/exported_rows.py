"""All rows of a request: made as an export, of which a body of rows, a Parquet file or a link are answered."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import anyio.to_thread
from starlette.requests import Request

from engine.errors import NotFound
from engine.exports.export import Export, ExportFile
from engine.plan.planner import ExportPlan
from engine.request.request import ExportRequest
from web.api.request_reader import wait_for_disconnect
from web.container import Services
from web.http.streaming import FileStream
from web.telemetry.log_context import add_log_fields


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export, its file, and until when that is retained at least."""

    plan: ExportPlan
    export: Export
    file: ExportFile
    until: datetime


async def exported(request: Request, services: Services, export_request: ExportRequest, team: str) -> Exported:
    """Return a finished export, whose file is retained for as long as a URL is valid.

    Raises what exports raise: NotFound, InvalidRequest, ServiceOverloaded, LimitExceeded, QuotaExceeded.
    """
    while True:
        # All rows are promised in bounded memory, sorted as well; an export may take its memory limit.
        plan = replace(await services.plan(export_request, team), bounds_memory=True)
        add_log_fields(request.scope, run=plan.run.run_id, export_id=plan.export_id, format=plan.request.format.name)
        made = await services.jobs.export(plan, team, partial(wait_for_disconnect, request))
        until = datetime.now(UTC).replace(microsecond=0) + services.signing.url_ttl
        file = await anyio.to_thread.run_sync(_retained, services, made, until)
        # None: a sweep or a caller has just removed the file.
        if file is not None:
            add_log_fields(request.scope, rows=made.rows, bytes=made.size)
            return Exported(plan, made, file, until)


async def file_stream(services: Services, file: ExportFile) -> FileStream:
    """A response whose body is the file. Raises StoreError if it cannot be read."""
    exports, info = services.exporter.exports, file.info
    make_stream = partial(exports.stream, info.key, start=0, length=info.size, etag=info.etag)
    return await FileStream.open(make_stream, 200, {})


def _retained(services: Services, made: Export, until: datetime) -> ExportFile | None:
    if not services.exporter.retain(made, until):
        return None
    try:
        return services.exporter.find(made.workflow_id, made.export_id, made.format.name)
    except NotFound:
        return None
