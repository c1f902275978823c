"""``/v4/workflows/{workflowId}/data/query/export``: the result of a SQL statement becomes a file and a signed URL."""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from web.api.exports.export import answer_export
from web.api.parameters import STATEMENT_PARAMETERS, make_request, read_url_ttl
from web.api.query import StatementBody, check_sql_is_on, read_body
from web.api.request_reader import read_parameters
from web.container import Services


async def export_statement(request: Request) -> Response:
    """Answer POST."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, STATEMENT_PARAMETERS)
    members = {name: value for name, value in values.items() if name in StatementBody.model_fields}
    statement = read_body(StatementBody, members).request()
    url_ttl = read_url_ttl(values, services.signing.url_ttl_seconds)
    export_request = replace(make_request(request.path_params["workflow_id"], values), statement=statement)
    check_sql_is_on(services)
    return await answer_export(request, principal.team, export_request, url_ttl)
