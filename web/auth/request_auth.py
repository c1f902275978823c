"""What every route that belongs to a team begins with: who asks, and for what."""

from collections.abc import Callable, Sequence
from functools import partial

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Scope

from web.api.parameters import parse_body, read_body, read_query
from web.api.request_body import received_body
from web.auth import not_found_delay
from web.auth.authenticator import Authenticator
from web.auth.errors import Forbidden
from web.auth.principal import Principal
from web.container import Services
from web.http import thread_limits
from web.telemetry.log_context import note

LONGEST_QUERY_BYTES = 32 * 1024
QUERY_TOO_LONG = f"The query is longer than {LONGEST_QUERY_BYTES} bytes: send its parameters as the JSON body of a POST"
_AT_ONCE_BYTES = 16 * 1024
"""A body that is read in less time than the way to a thread and back takes."""
_LONGEST_CALLER = 128
"""Characters of it in the log: a subject comes from a token, which may be long."""


def recognise(scope: Scope, authenticator: Authenticator) -> Principal:
    """The caller, whom the log is told of. It may wait for a file or a host. Raises Unauthorized."""
    principal = authenticator.authenticate(scope["headers"])
    note(scope, team=principal.team, caller=principal.caller[:_LONGEST_CALLER])
    not_found_delay.asked(scope)
    return principal


async def recognised(scope: Scope, authenticator: Authenticator) -> Principal:
    """`recognise` for the event loop: in a thread only if there may be something to wait for. Raises Unauthorized."""
    if authenticator.waits(scope["headers"]):
        return await anyio.to_thread.run_sync(recognise, scope, authenticator, limiter=thread_limits.CHECKS)
    return recognise(scope, authenticator)


async def identify(request: Request) -> Principal:
    """The caller. Raises Unauthorized."""
    services: Services = request.app.state.services
    return await recognised(request.scope, services.authenticator)


async def publisher(request: Request) -> Principal:
    """The caller, who may publish and delete. Raises Unauthorized or Forbidden, whatever the path names."""
    principal = await identify(request)
    if not principal.may_publish:
        raise Forbidden(
            "These credentials may read and not publish: use a key made by `tailrace keys new --publish`, an entry "
            "key=team:publish of TAILRACE_API_KEYS, or a token whose scope has the word publish."
        )
    return principal


async def asker(request: Request, known: Sequence[str]) -> tuple[Principal, dict[str, object]]:
    """The caller, and the parameters of the URL or, of a POST, of its body.

    Raises Unauthorized, InvalidRequest, Busy, ClientDisconnect, or HTTPException for what is too long.
    """
    principal = await identify(request)
    query = request.scope["query_string"]
    if len(query) > LONGEST_QUERY_BYTES:
        raise HTTPException(414, QUERY_TOO_LONG)
    if request.method == "GET":
        return principal, read_query(query, known)
    return principal, await _read(request, principal, partial(read_body, known=known))


async def read_posted(request: Request, principal: Principal) -> dict[str, object]:
    """The JSON object that a POST brings.

    Raises InvalidRequest, Busy, ClientDisconnect, or HTTPException for what is too long.
    """
    return await _read(request, principal, parse_body)


async def disconnected(request: Request) -> None:
    """Wait until the client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read(
    request: Request, principal: Principal, reader: Callable[[bytes], dict[str, object]]
) -> dict[str, object]:
    if request.scope["query_string"]:
        raise HTTPException(400, "A POST takes its parameters in the JSON body, none in the URL")
    async with received_body(request, principal.team) as body:
        not_found_delay.asked(request.scope)
        if len(body) > _AT_ONCE_BYTES:
            return await anyio.to_thread.run_sync(reader, body, limiter=thread_limits.CHECKS)
        return reader(body)
