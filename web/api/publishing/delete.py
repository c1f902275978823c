"""``DELETE /v4/workflows/{workflowId}`` and ``.../runs/{runId}``, with their exports (web/API.md, section 8)."""

from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.exports.deletion import Deletion
from web.api.parameters import read_query
from web.api.request_reader import authenticate_publisher
from web.container import Services


async def delete_workflow(request: Request) -> Response:
    """Answer DELETE of a workflow."""
    return await _delete(request)


async def delete_run(request: Request) -> Response:
    """Answer DELETE of a run."""
    return await _delete(request)


async def _delete(request: Request) -> Response:
    services: Services = request.app.state.services
    principal = await authenticate_publisher(request)
    read_query(request.scope["query_string"], ())
    deletion = Deletion(services.exporter.results, services.exporter.exports)
    ids = request.path_params
    if "run_id" in ids:
        delete = partial(deletion.delete_run, ids["workflow_id"], ids["run_id"], principal.team)
    else:
        delete = partial(deletion.delete_workflow, ids["workflow_id"], principal.team)
    await anyio.to_thread.run_sync(delete)
    return Response(status_code=204, headers={"cache-control": "no-store"})
