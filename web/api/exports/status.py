"""``/v4/workflows/{workflowId}/data/exports/{exportId}/status``: how an asynchronous export is (contract section 6)."""

from datetime import UTC, datetime

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.common.progress import Phase
from engine.errors import NotFound, ObjectMissing
from engine.exports.status import Ticket
from web.api.exports.export import answer_export
from web.api.models import ticket_answer
from web.auth.request_auth import recognise
from web.container import Services

_INTERRUPTED = {
    "phase": Phase.FAILED,
    "code": "interrupted",
    "message": "The service was stopped while the export ran: ask for it again.",
}


async def status(request: Request) -> Response:
    """Answer GET, and DELETE, which asks for an end."""
    services: Services = request.app.state.services
    found = await anyio.to_thread.run_sync(_find, request, services)
    if isinstance(found, Response):
        return found
    headers = {"cache-control": "no-store"} | ({} if found.over else {"retry-after": "1"})
    if found.cancel_requested:
        services.jobs.cancel(found)
    code = 202 if request.method == "DELETE" and not found.over else 200
    return Response(ticket_answer(found), code, headers=headers, media_type="application/json")


def _find(request: Request, services: Services) -> Response | Ticket:
    workflow_id, export_id = request.path_params["workflow_id"], request.path_params["export_id"]
    principal = recognise(request.scope, services.authenticator)
    services.exporter.check_owner(workflow_id, principal.team)
    answer = _finished(services, workflow_id, export_id)
    if answer is not None:
        return answer
    ticket = services.tickets.find(workflow_id, export_id)
    if ticket is not None and ticket.phase is Phase.DONE:
        # It came to its end in this moment, or its file is gone, and no ticket leads to it any more.
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
    return None if export is None else answer_export(services, export)


def _cancelled(services: Services, ticket: Ticket) -> Ticket:
    try:
        return services.tickets.change(
            ticket.workflow_id, ticket.export_id, lambda there: there.model_copy(update={"cancel_requested": True})
        )
    except ObjectMissing:
        return ticket
