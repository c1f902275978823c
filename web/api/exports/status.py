"""``.../data/exports/{exportId}/status``: the status of an asynchronous export (contract section 6)."""

from datetime import UTC, datetime

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.common.progress import Phase
from engine.errors import NotFound, ObjectMissing
from engine.exports.status import Ticket
from web.api.exports.export import finished_response
from web.api.models import encode_status
from web.auth.request_auth import recognise
from web.container import Services

_INTERRUPTED = {
    "phase": Phase.FAILED,
    "code": "interrupted",
    "message": "The service stopped during the export; request it again.",
}


async def status(request: Request) -> Response:
    """Answer GET, and DELETE, which cancels the export."""
    services: Services = request.app.state.services
    found = await anyio.to_thread.run_sync(_find, request, services)
    if isinstance(found, Response):
        return found
    headers = {"cache-control": "no-store"} | ({} if found.over else {"retry-after": "1"})
    if found.cancel_requested:
        services.jobs.cancel(found)
    code = 202 if request.method == "DELETE" and not found.over else 200
    return Response(encode_status(found), code, headers=headers, media_type="application/json")


def _find(request: Request, services: Services) -> Response | Ticket:
    workflow_id, export_id = request.path_params["workflow_id"], request.path_params["export_id"]
    principal = recognise(request.scope, services.authenticator)
    services.exporter.check_owner(workflow_id, principal.team)
    answer = _finished(services, workflow_id, export_id)
    if answer is not None:
        return answer
    ticket = services.tickets.find(workflow_id, export_id)
    if ticket is not None and ticket.phase is Phase.DONE:
        # Either it has just finished, or its file is gone and its status is obsolete.
        answer = _finished(services, workflow_id, export_id)
        if answer is not None:
            return answer
        ticket = None
    if ticket is None:
        raise NotFound("There is no such export: it expired, was never made, or belongs to another team.")
    if ticket.abandoned(datetime.now(UTC)):
        return ticket.model_copy(update=_INTERRUPTED)
    if request.method == "DELETE" and not ticket.over:
        return _cancelled(services, ticket)
    return ticket


def _finished(services: Services, workflow_id: str, export_id: str) -> Response | None:
    export = services.exporter.describe(workflow_id, export_id)
    return None if export is None else finished_response(services, export)


def _cancelled(services: Services, ticket: Ticket) -> Ticket:
    try:
        return services.tickets.change(
            ticket.workflow_id, ticket.export_id, lambda there: there.model_copy(update={"cancel_requested": True})
        )
    except ObjectMissing:
        return ticket
