"""``/v4/workflows/{workflowId}/data/export``: a request becomes a file and a signed URL."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.exports.export import Export
from engine.exports.status import ExportStatus
from engine.plan.planner import ExportPlan
from engine.request.request import ExportRequest
from web.api.models import encode_export, encode_status
from web.api.parameters import PARAMETERS, make_request, read_url_ttl
from web.api.request_reader import read_parameters, wait_for_disconnect
from web.container import Services
from web.http.prefer import parse_prefer
from web.telemetry.log_context import add_log_fields


async def export(request: Request) -> Response:
    """Answer GET, and POST with the parameters in the body."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, PARAMETERS)
    url_ttl = read_url_ttl(values, services.signing.url_ttl_seconds)
    export_request = make_request(request.path_params["workflow_id"], values)
    # The bytes, since values of the request such as 1 and true are equal in Python.
    same = (request.scope["path"], request.scope["query_string"]) if request.method == "GET" else None
    return await answer_export(request, principal.team, export_request, url_ttl, same)


async def answer_export(
    request: Request,
    team: str,
    export_request: ExportRequest,
    url_ttl: timedelta,
    same: tuple[str, bytes] | None = None,
) -> Response:
    """Answer 200 with the finished export of a team's request, or 202 if it continues without the caller.

    Requests of a team with an equal ``same``, other than None, are equal.
    """
    services: Services = request.app.state.services
    preference = parse_prefer(request.headers.getlist("prefer"))
    gone = partial(wait_for_disconnect, request)
    look = partial(_look, services, export_request, team, url_ttl, synchronous=preference.wait is None)
    while True:
        # One thread for all of a request whose file exists: handing over costs more than the work.
        found: _Found
        if same is None:
            found = await anyio.to_thread.run_sync(look)
        else:
            found = await services.lookups.run((team, *same, preference.wait is None), look)
        plan, result, answer = found.plan, found.result, found.answer
        add_log_fields(request.scope, run=plan.run.run_id, export_id=plan.export_id, format=plan.request.format.name)
        if result is None:
            if preference.wait is None:
                result = await services.jobs.export(plan, team, gone, known_missing=found.looked)
            else:
                later = await services.jobs.export_async(plan, team, gone, preference.wait)
                if isinstance(later, ExportStatus):
                    return status_response(services, later, applied=preference.applied)
                result = later
            answer = await anyio.to_thread.run_sync(finished_response, services, result, url_ttl)
        # None: a sweep or a caller has just removed the file, so export it again, after a deletion under another id.
        if answer is not None:
            add_log_fields(request.scope, rows=result.rows, bytes=result.size)
            return answer


@dataclass(frozen=True, slots=True)
class _Found:
    """What is there for a request: its plan, and if its file was ``looked`` for and exists, that and the answer."""

    plan: ExportPlan
    looked: bool = False
    result: Export | None = None
    answer: Response | None = None


def _look(services: Services, request: ExportRequest, team: str, url_ttl: timedelta, *, synchronous: bool) -> _Found:
    plan = services.exporter.plan(request, team)
    if not synchronous or services.jobs.find(plan.export_id) is not None:
        return _Found(plan)
    finished = services.exporter.finished(plan)
    if finished is None:
        return _Found(plan, looked=True)
    return _Found(plan, looked=True, result=finished, answer=finished_response(services, finished, url_ttl))


def finished_response(services: Services, finished: Export, url_ttl: timedelta) -> Response | None:
    """Answer 200 with a new URL of a finished export; None if a sweep has just removed the file."""
    signed = signed_url(services, finished, url_ttl)
    if signed is None:
        return None
    body = encode_export(finished, url=signed[0], expires_at=signed[1])
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})


def signed_url(
    services: Services, finished: Export, url_ttl: timedelta, *, for_delta: bool = False
) -> tuple[str, datetime] | None:
    """Return a new URL of a finished export and when it expires; None if a sweep has just removed the file."""
    expires_at = datetime.now(UTC).replace(microsecond=0) + url_ttl
    if not services.exporter.retain(finished, expires_at):
        return None
    url = services.signer.sign(
        finished.workflow_id,
        finished.export_id,
        finished.format.name,
        expires_at,
        finished.file_name,
        for_delta=for_delta,
    )
    return url, expires_at


def status_response(services: Services, status: ExportStatus, *, applied: str) -> Response:
    """Answer 202 for an export that continues without the caller."""
    headers = {
        "cache-control": "no-store",
        "location": f"{services.signer.base}/v4/workflows/{status.workflow_id}/data/exports/{status.export_id}/status",
        "preference-applied": applied,
        "retry-after": "1",
    }
    return Response(encode_status(status), 202, headers=headers, media_type="application/json")
