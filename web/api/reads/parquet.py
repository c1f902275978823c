"""``/v4/workflows/{workflowId}/data/parquet``: all rows of a run as its Parquet file."""

from starlette.requests import Request
from starlette.responses import Response

from web.api.exports.download import send_file
from web.api.parameters import PARQUET_PARAMETERS, make_request
from web.api.reads.exported_rows import exported
from web.api.request_reader import read_parameters
from web.container import Services


async def parquet(request: Request) -> Response:
    """Answer GET, also with a range of the file."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, PARQUET_PARAMETERS)
    export_request = make_request(request.path_params["workflow_id"], {**values, "format": "parquet"})
    found = await exported(request, services, export_request, principal.team)
    return await send_file(request, services, found.file, None)
