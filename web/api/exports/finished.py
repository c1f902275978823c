"""Finished exports: ``GET .../data/exports`` lists them, and ``DELETE .../data/exports/{exportId}`` deletes one."""

from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.exports.history import ExportHistory
from web.api.parameters import LIST_PARAMETERS, Paging, read_paging
from web.api.request_reader import read_parameters, wait_for_disconnect
from web.api.row_models import ExportEntry, ExportsAnswer, Pagination
from web.container import Services

_NO_STORE = {"cache-control": "no-store"}


async def exports(request: Request) -> Response:
    """Answer GET of the list."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, LIST_PARAMETERS)
    paging = read_paging(values)
    workflow_id = request.path_params["workflow_id"]
    body = await services.lists.run(
        principal.team,
        partial(wait_for_disconnect, request),
        lambda _: _list(services, workflow_id, principal.team, paging),
    )
    return Response(body, media_type="application/json", headers=_NO_STORE)


async def delete_export(request: Request) -> Response:
    """Answer DELETE of one. A signature is no credential for it."""
    services: Services = request.app.state.services
    principal, _ = await read_parameters(request, ())
    work = partial(_delete, services, principal.team, **request.path_params)
    await anyio.to_thread.run_sync(work)
    return Response(status_code=204, headers=_NO_STORE)


def _list(services: Services, workflow_id: str, team: str, paging: Paging) -> bytes:
    services.exporter.results.owned_workflow(workflow_id, team)
    page, count = ExportHistory(services.exporter.exports).page(workflow_id, paging.offset, paging.limit)
    return ExportsAnswer(
        workflow_id=workflow_id,
        exports=[ExportEntry.of(past) for past in page],
        pagination=Pagination.of(paging, count),
    ).encode()


def _delete(services: Services, team: str, workflow_id: str, export_id: str) -> None:
    services.exporter.check_owner(workflow_id, team)
    services.exporter.delete(workflow_id, export_id)
