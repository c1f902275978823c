"""``/v4/workflows/{workflowId}/data/column``: statistics of one column over the rows that match."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import InvalidRequest
from engine.query.preview import read_column
from web.api.parameters import COLUMN_PARAMETERS, make_request
from web.api.request_reader import read_parameters, wait_for_disconnect
from web.api.row_models import ColumnAnswer
from web.container import Services
from web.telemetry.log_context import add_log_fields


async def column(request: Request) -> Response:
    """Answer GET, and POST with the parameters in the body."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, COLUMN_PARAMETERS)
    path = values.pop("field", None)
    if not isinstance(path, str) or not path:
        raise InvalidRequest("field must be the name of a column, or a dotted path into an object.", parameter="field")
    export_request = make_request(request.path_params["workflow_id"], values)
    plan = await services.plan(export_request, principal.team)
    statistics = await services.queries.run(
        principal.team,
        partial(wait_for_disconnect, request),
        lambda cancel: read_column(
            plan,
            path,
            services.exporter.results,
            settings=services.queries.duckdb,
            cancel=cancel,
            instances=services.instances,
        ),
    )
    add_log_fields(request.scope, run=plan.run.run_id)
    body = ColumnAnswer.of(plan.run, statistics).encode()
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})
