"""What every route that belongs to a team begins with: who asks, and for what."""

from collections.abc import Sequence

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Scope

from web import pace, threads
from web.auth import Authenticator
from web.facts import note
from web.parameters import parse_body, read_body, read_query
from web.principal import Principal
from web.services import Services

LONGEST_QUERY_BYTES = 32 * 1024
LONGEST_BODY_BYTES = 8 * 1024 * 1024
_LONGEST_CALLER = 128
"""Characters of it in the log: a subject comes from a token, which may be long."""


def recognise(scope: Scope, authenticator: Authenticator) -> Principal:
    """The caller, whom the log is told of. Not for the event loop: files may be looked at. Raises Unauthorized."""
    principal = authenticator.authenticate(scope["headers"])
    note(scope, team=principal.team, caller=principal.caller[:_LONGEST_CALLER])
    pace.asked(scope)
    return principal


async def identify(request: Request) -> Principal:
    """The caller. Raises Unauthorized."""
    services: Services = request.app.state.services
    return await anyio.to_thread.run_sync(recognise, request.scope, services.authenticator, limiter=threads.CHECKS)


async def asker(request: Request, known: Sequence[str]) -> tuple[Principal, dict[str, object]]:
    """The caller, and the parameters of the URL or, of a POST, of its body.

    Raises Unauthorized, InvalidRequest, or HTTPException for what is too long.
    """
    principal = await identify(request)
    query = request.scope["query_string"]
    if len(query) > LONGEST_QUERY_BYTES:
        raise HTTPException(
            414, f"The query is longer than {LONGEST_QUERY_BYTES} bytes: send its parameters as the JSON body of a POST"
        )
    if request.method == "GET":
        return principal, read_query(query, known)
    return principal, await anyio.to_thread.run_sync(read_body, await _body(request), known, limiter=threads.CHECKS)


async def read_posted(request: Request) -> dict[str, object]:
    """The JSON object that a POST brings. Raises InvalidRequest, or HTTPException for what is too long."""
    return await anyio.to_thread.run_sync(parse_body, await _body(request), limiter=threads.CHECKS)


async def disconnected(request: Request) -> None:
    """Wait until the client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> bytes:
    if request.scope["query_string"]:
        raise HTTPException(400, "A POST takes its parameters in the JSON body, none in the URL")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY_BYTES:
            raise HTTPException(413, f"The body is longer than {LONGEST_BODY_BYTES} bytes")
    pace.asked(request.scope)
    return bytes(body)
