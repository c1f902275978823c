"""``.../data/exports/{exportId}/status``: the status of an asynchronous export (web/API.md, section 6)."""

from collections.abc import Mapping

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.common.progress import Phase
from engine.errors import Conflict, NotFound, ObjectMissing
from engine.exports.status import ExportStatus
from web.api.exports.export import finished_response
from web.api.models import encode_status
from web.auth.request_auth import authenticate_blocking
from web.container import Services

INTERRUPTED = {
    "phase": Phase.FAILED,
    "code": "interrupted",
    "message": "The service that ran the export stopped, or has lost its connection to the store; request it again.",
}
"""The members of a status document that is no longer written."""


async def status(request: Request) -> Response:
    """Answer GET, and DELETE, which cancels the export."""
    services: Services = request.app.state.services
    answer = await anyio.to_thread.run_sync(_find, request, services)
    # The store may have been away while the export went on, or failed, in this process.
    state = _unwritten_state(services, answer)
    if state is None:
        # The job may have written its end since this document was read.
        answer = await anyio.to_thread.run_sync(_find, request, services)
        state = _unwritten_state(services, answer)
    if isinstance(answer, Response):
        return answer
    found = answer[0].model_copy(update=INTERRUPTED if state is None else state)
    headers = {"cache-control": "no-store"} | ({} if found.is_terminal else {"retry-after": "1"})
    if found.cancel_requested or request.method == "DELETE":
        services.jobs.cancel(found)
    code = 202 if request.method == "DELETE" and not found.is_terminal else 200
    return Response(encode_status(found), code, headers=headers, media_type="application/json")


def _unwritten_state(services: Services, answer: Response | tuple[ExportStatus, bool]) -> Mapping[str, object] | None:
    """The members of a job's status that its document lacks, or None if the document is stale and has no job here."""
    if isinstance(answer, Response) or not answer[1]:
        return {}
    return services.jobs.state(answer[0].nonce)


def _find(request: Request, services: Services) -> Response | tuple[ExportStatus, bool]:
    """Return the answer of a finished export, or else its status, and whether that is no longer written."""
    workflow_id, export_id = request.path_params["workflow_id"], request.path_params["export_id"]
    principal = authenticate_blocking(request.scope, services.authenticator)
    services.exporter.check_owner(workflow_id, principal.team)
    answer = _finished(services, workflow_id, export_id)
    if answer is not None and request.method == "DELETE":
        raise Conflict("The export is finished, so it cannot be cancelled: to delete its file, leave out /status.")
    if answer is not None:
        return answer
    status = services.statuses.find(workflow_id, export_id)
    if status is not None and status.phase is Phase.DONE:
        # Either it has just finished, or its file is gone and its status is obsolete.
        answer = _finished(services, workflow_id, export_id)
        if answer is not None:
            return answer
        status = None
    if status is None:
        raise NotFound("There is no such export: it expired, was never made, or belongs to another team.")
    if services.statuses.is_interrupted(status):
        return status, True
    if request.method == "DELETE" and not status.is_terminal:
        return _cancelled(services, status), False
    return status, False


def _finished(services: Services, workflow_id: str, export_id: str) -> Response | None:
    export = services.exporter.describe(workflow_id, export_id)
    return None if export is None else finished_response(services, export, services.signing.url_ttl)


def _cancelled(services: Services, status: ExportStatus) -> ExportStatus:
    try:
        return services.statuses.change(
            status.workflow_id, status.export_id, lambda there: there.model_copy(update={"cancel_requested": True})
        )
    except ObjectMissing:
        return status
