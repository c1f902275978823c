"""``/v4/workflows/{workflowId}/data``: a page of rows."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import InvalidRequest
from engine.plan.planner import ExportPlan
from engine.query.preview import read_page
from web.api.parameters import PAGE_PARAMETERS, make_request, read_paging
from web.api.request_reader import read_parameters, wait_for_disconnect
from web.api.row_models import Pagination, RowsAnswer, read_fields, with_rows
from web.container import Services
from web.telemetry.log_context import add_log_fields

_FORMATS = ("json", "csv")


async def rows(request: Request) -> Response:
    """Answer GET."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, PAGE_PARAMETERS)
    paging = read_paging(values)
    if values.setdefault("format", "json") not in _FORMATS:
        raise InvalidRequest(f"format must be one of {', '.join(_FORMATS)}, in lower case.", parameter="format")
    export_request = make_request(request.path_params["workflow_id"], values)
    plan = await services.plan(export_request, principal.team)
    page = await services.queries.run(
        principal.team,
        partial(wait_for_disconnect, request),
        lambda cancel: read_page(
            plan,
            services.exporter.results,
            offset=paging.offset,
            limit=paging.limit,
            settings=services.queries.duckdb,
            instances=services.instances,
            cancel=cancel,
        ),
    )
    add_log_fields(request.scope, run=plan.run.run_id, format=export_request.format.name, bytes=len(page.rows))
    pagination = Pagination.of(paging, page.total)
    if export_request.format.name == "json":
        body = with_rows(_answer(plan, pagination), "data", page.rows)
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})
    # A CSV file has no place for the number of rows but the headers.
    headers = {
        "cache-control": "no-store",
        "x-total-count": str(pagination.total_count),
        "x-total-pages": str(pagination.total_pages),
    }
    return Response(page.rows, media_type=export_request.format.content_type, headers=headers)


def _answer(plan: ExportPlan, pagination: Pagination) -> RowsAnswer:
    return RowsAnswer(
        workflow_id=plan.run.workflow_id,
        run_id=plan.run.run_id,
        executed_at=plan.run.executed_at,
        schema_=read_fields(plan.fields),
        pagination=pagination,
        data=[],
    )
