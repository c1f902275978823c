"""``/v4/workflows/{workflowId}/data/export``: from a request to a signed URL."""

from datetime import UTC, datetime
from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.exports.export import Export
from engine.exports.status import ExportStatus
from web.api.models import export_answer, ticket_answer
from web.api.parameters import PARAMETERS, make_request
from web.api.request_reader import read_parameters, wait_for_disconnect
from web.container import Services
from web.http.prefer import parse_prefer
from web.telemetry.log_context import add_log_fields


async def export(request: Request) -> Response:
    """Answer GET and its POST twin."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, PARAMETERS)
    wanted = make_request(request.path_params["workflow_id"], values)
    plan = await services.plan(wanted, principal.team)
    add_log_fields(request.scope, run=plan.run.run_id, export_id=plan.export_id, format=plan.request.format.name)
    preference = parse_prefer(request.headers.getlist("prefer"))
    gone = partial(wait_for_disconnect, request)
    while True:
        if preference.wait is None:
            made: Export | ExportStatus = await services.jobs.export(plan, principal.team, gone)
        else:
            made = await services.jobs.export_async(plan, principal.team, gone, preference.wait)
        if isinstance(made, ExportStatus):
            return answer_status(services, made, applied=preference.applied)
        answer = await anyio.to_thread.run_sync(answer_export, services, made)
        # None: it was swept away in this moment, and is made anew.
        if answer is not None:
            add_log_fields(request.scope, rows=made.rows, bytes=made.size)
            return answer


def answer_export(services: Services, made: Export) -> Response | None:
    """The 200 of a finished export, with a fresh URL; None if the file has just been swept away."""
    expires_at = datetime.now(UTC).replace(microsecond=0) + services.signing.url_ttl
    if not services.exporter.keep(made, expires_at):
        return None
    url = services.signer.sign(made.workflow_id, made.export_id, made.format.name, expires_at)
    body = export_answer(made, url=url, expires_at=expires_at)
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})


def answer_status(services: Services, status: ExportStatus, *, applied: str) -> Response:
    """The 202 of an export that goes on by itself."""
    headers = {
        "cache-control": "no-store",
        "location": f"{services.signer.base}/v4/workflows/{status.workflow_id}/data/exports/{status.export_id}/status",
        "preference-applied": applied,
        "retry-after": "1",
    }
    return Response(ticket_answer(status), 202, headers=headers, media_type="application/json")
