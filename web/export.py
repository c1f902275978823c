"""``/v4/workflows/{workflowId}/data/export``: from a request to a signed URL."""

from datetime import UTC, datetime
from functools import partial

import anyio
import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from web.answers import export_answer
from web.parameters import make_request, read_body, read_query
from web.services import Services

LONGEST_QUERY_BYTES = 32 * 1024
LONGEST_BODY_BYTES = 8 * 1024 * 1024


async def export(request: Request) -> Response:
    """Answer GET and its POST twin."""
    services: Services = request.app.state.services
    principal = await anyio.to_thread.run_sync(services.authenticator.authenticate, request.headers.raw)
    values = await _read_values(request)
    wanted = make_request(request.path_params["workflow_id"], values)
    plan = await anyio.to_thread.run_sync(services.exporter.plan, wanted, principal.team)
    made = await services.running.export(plan, partial(_disconnected, request))
    expires_at = datetime.now(UTC).replace(microsecond=0) + services.signing.url_ttl
    url = services.signer.sign(made.workflow_id, made.export_id, made.format.name, expires_at)
    body = export_answer(made, url=url, expires_at=expires_at)
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})


async def _read_values(request: Request) -> dict[str, object]:
    query = request.scope["query_string"]
    if len(query) > LONGEST_QUERY_BYTES:
        raise HTTPException(
            414, f"The query is longer than {LONGEST_QUERY_BYTES} bytes: send its parameters as the JSON body of a POST"
        )
    if request.method == "GET":
        return read_query(query)
    if query:
        raise HTTPException(400, "A POST takes its parameters in the JSON body, none in the URL")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY_BYTES:
            raise HTTPException(413, f"The body is longer than {LONGEST_BODY_BYTES} bytes")
    return await anyio.to_thread.run_sync(read_body, bytes(body))


async def _disconnected(request: Request) -> None:
    """Wait until the client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
