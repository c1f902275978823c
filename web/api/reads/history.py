"""``/v4/workflows/{workflowId}/history`` lists runs; ``.../jobs/{runId}`` has the state of one."""

from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.catalog.catalog import NOT_FOUND, ResultStore
from engine.errors import NotFound
from web.api.parameters import HISTORY_PARAMETERS, Paging, read_choice, read_paging
from web.api.reads.models import OUTCOMES, JobAnswer, WorkflowRun, run_state
from web.api.request_reader import read_parameters, wait_for_disconnect
from web.api.row_models import HistoryAnswer, Pagination
from web.container import Services

_NO_STORE = {"cache-control": "no-store"}


async def history(request: Request) -> Response:
    """Answer GET of the runs of a workflow."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, HISTORY_PARAMETERS)
    paging, status = read_paging(values), read_choice(values, "status", OUTCOMES)
    workflow_id = request.path_params["workflow_id"]
    body = await services.lists.run(
        principal.team,
        partial(wait_for_disconnect, request),
        lambda _: _list(services.exporter.results, workflow_id, principal.team, paging, status),
    )
    return Response(body, media_type="application/json", headers=_NO_STORE)


async def job(request: Request) -> Response:
    """Answer GET of one run."""
    services: Services = request.app.state.services
    principal, _ = await read_parameters(request, ())
    work = partial(_describe, services.exporter.results, principal.team, **request.path_params)
    return Response(await anyio.to_thread.run_sync(work), media_type="application/json", headers=_NO_STORE)


def _list(results: ResultStore, workflow_id: str, team: str, paging: Paging, status: str | None) -> bytes:
    results.owned_workflow(workflow_id, team)
    if status is None:
        newest, count = results.newest_runs(workflow_id, paging.limit, paging.offset)
        runs = [WorkflowRun.of(run) for run in newest]
    else:
        # Which runs match is only in their manifests.
        newest, _ = results.newest_runs(workflow_id, None)
        matching = [WorkflowRun.of(run) for run in newest if run_state(run.state) == OUTCOMES[status]]
        runs, count = matching[paging.offset :][: paging.limit], len(matching)
    return HistoryAnswer(
        workflow_id=workflow_id,
        workflow_runs=runs,
        total_count=count,
        pagination=Pagination.of(paging, count),
    ).encode()


def _describe(results: ResultStore, team: str, workflow_id: str, run_id: str) -> bytes:
    results.owned_workflow(workflow_id, team)
    run = results.run(workflow_id, run_id)
    if run is None or run.team not in (None, team):
        raise NotFound(NOT_FOUND)
    return JobAnswer.of(run).encode()
