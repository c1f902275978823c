"""``/v4/workflows`` and ``/v4/workflows/{workflowId}``: the workflows of a team."""

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.catalog.catalog import ResultStore
from engine.errors import DocumentDamaged, NotFound
from web.api.parameters import LIST_PARAMETERS, Paging, read_paging
from web.api.request_reader import read_parameters
from web.api.row_models import (
    Pagination,
    RunEntry,
    WorkflowAnswer,
    WorkflowEntry,
    WorkflowsAnswer,
    read_fields,
)
from web.container import Services

MAX_RUNS = 100
_NO_STORE = {"cache-control": "no-store"}


async def workflows(request: Request) -> Response:
    """Answer GET of the list of workflows."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, LIST_PARAMETERS)
    paging = read_paging(values)
    body = await anyio.to_thread.run_sync(_list, services.exporter.results, principal.team, paging)
    return Response(body, media_type="application/json", headers=_NO_STORE)


async def workflow(request: Request) -> Response:
    """Answer GET of one workflow."""
    services: Services = request.app.state.services
    principal, _ = await read_parameters(request, ())
    body = await anyio.to_thread.run_sync(
        _describe, services.exporter.results, request.path_params["workflow_id"], principal.team
    )
    return Response(body, media_type="application/json", headers=_NO_STORE)


def _list(results: ResultStore, team: str, paging: Paging) -> bytes:
    owned = [found for found in results.workflows() if found.team == team]
    page = owned[paging.offset : paging.offset + paging.limit]
    return WorkflowsAnswer(
        workflows=[WorkflowEntry.of(found) for found in page], pagination=Pagination.of(paging, len(owned))
    ).encode()


def _describe(results: ResultStore, workflow_id: str, team: str) -> bytes:
    found = results.owned_workflow(workflow_id, team)
    runs, count = results.newest_runs(workflow_id, MAX_RUNS)
    try:
        latest = results.resolve(workflow_id, None, team)
    except (NotFound, DocumentDamaged):
        # Listing the runs has logged the damage. Answer with the runs that can be read.
        latest = None
    return WorkflowAnswer(
        **WorkflowEntry.of(found).model_dump(),
        schema_=read_fields(latest.table.delivered) if latest else [],
        runs=[RunEntry.of(run) for run in runs],
        run_count=count,
    ).encode()
