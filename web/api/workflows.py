"""``/v4/workflows`` and ``/v4/workflows/{workflowId}``: the workflows of a team."""

from collections.abc import Mapping
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run
from engine.errors import DocumentDamaged, InvalidRequest, NotFound
from web.api.parameters import WORKFLOWS_PARAMETERS, Paging, read_choice, read_paging, split_list
from web.api.reads.models import WORKFLOW_STATES, finished_at, run_state
from web.api.request_reader import read_parameters, wait_for_disconnect
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
    principal, values = await read_parameters(request, WORKFLOWS_PARAMETERS)
    paging = read_paging(values)
    state = read_choice(values, "state", WORKFLOW_STATES)
    # No workflow here has a tag or another state.
    none = state not in (None, "ACTIVE") or bool(_tags(values))
    search = str(values.get("search", "")).casefold()
    body = await services.lists.run(
        principal.team,
        partial(wait_for_disconnect, request),
        lambda _: _list(services.exporter.results, principal.team, paging, None if none else search),
    )
    return Response(body, media_type="application/json", headers=_NO_STORE)


async def workflow(request: Request) -> Response:
    """Answer GET of one workflow."""
    services: Services = request.app.state.services
    principal, _ = await read_parameters(request, ())
    workflow_id = request.path_params["workflow_id"]
    body = await services.lists.run(
        principal.team,
        partial(wait_for_disconnect, request),
        lambda _: _describe(services.exporter.results, workflow_id, principal.team),
    )
    return Response(body, media_type="application/json", headers=_NO_STORE)


def _tags(values: Mapping[str, object]) -> list[str]:
    tags = split_list(str(values.get("tags", "")), "tags")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidRequest("tags must be a,b or a JSON array of strings.", parameter="tags")
    return [tag for tag in tags if tag]


def _list(results: ResultStore, team: str, paging: Paging, search: str | None) -> bytes:
    """``search`` is in lower case; None finds nothing."""
    page, count = ([], 0) if search is None else results.workflows_of(team, paging.offset, paging.limit, search)
    return WorkflowsAnswer(
        workflows=[WorkflowEntry.of(found, results.latest_rows(found)) for found in page],
        pagination=Pagination.of(paging, count),
    ).encode()


def _describe(results: ResultStore, workflow_id: str, team: str) -> bytes:
    found = results.owned_workflow(workflow_id, team)
    newest, count = results.newest_runs(workflow_id, MAX_RUNS)
    last: Run | None = None
    runs: list[RunEntry] = []
    for run in newest:
        # One manifest at a time, since the statistics in it can take megabytes.
        last = last or run
        runs.append(RunEntry.of(run))
    try:
        latest = results.resolve(workflow_id, None, team)
    except (NotFound, DocumentDamaged):
        # Listing the runs has logged the damage. Answer with the runs that can be read.
        latest = None
    return WorkflowAnswer(
        **WorkflowEntry.of(found, latest.rows if latest else None).model_dump(),
        job_id=last.run_id if last else None,
        run_state=run_state(last.state) if last else None,
        started_at=last.started_at if last else None,
        finished_at=finished_at(last) if last else None,
        schema_=read_fields(latest.table.delivered) if latest else [],
        runs=runs,
        run_count=count,
    ).encode()
