"""What each endpoint starts with: who sends the request, and its parameters."""

from collections.abc import Callable, Sequence
from functools import partial

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request

from web.api.parameters import parse_body, read_body, read_query
from web.api.request_body import received_body
from web.auth import not_found_delay
from web.auth.errors import Forbidden
from web.auth.principal import Principal
from web.auth.request_auth import authenticate_scope
from web.container import Services
from web.http import thread_limits
from web.http.limits import MAX_QUERY_BYTES, QUERY_TOO_LONG

_MAX_INLINE_BYTES = 16 * 1024
"""Parsing a body of this size takes less time than handing it to a thread."""


async def authenticate(request: Request, *, bearer_keys: bool = False) -> Principal:
    """Return the caller; with ``bearer_keys``, an API key may be the bearer token. Raises InvalidCredentials."""
    services: Services = request.app.state.services
    return await authenticate_scope(request.scope, services.authenticator, bearer_keys=bearer_keys)


async def authenticate_publisher(request: Request) -> Principal:
    """Return a caller who may publish and delete. Raises InvalidCredentials or Forbidden before any id is looked up."""
    principal = await authenticate(request)
    if not principal.may_publish:
        raise Forbidden(
            "These credentials may read but not publish: use a key made by `tailrace keys new --publish`, an entry "
            "key=team:publish of TAILRACE_API_KEYS, or a token whose scope contains the word publish."
        )
    return principal


async def read_parameters(request: Request, known: Sequence[str]) -> tuple[Principal, dict[str, object]]:
    """Return the caller, and the parameters from the URL of a GET or the body of a POST.

    Raises InvalidCredentials, InvalidRequest, ServiceOverloaded, ClientDisconnect, or HTTPException for a query or body
    that is too long.
    """
    principal = await authenticate(request)
    query = request.scope["query_string"]
    if len(query) > MAX_QUERY_BYTES:
        raise HTTPException(414, QUERY_TOO_LONG)
    if request.method == "GET":
        return principal, read_query(query, known)
    return principal, await _read(request, principal, partial(read_body, known=known))


async def read_json_object(request: Request, principal: Principal) -> dict[str, object]:
    """Return the JSON object in the body of a POST.

    Raises InvalidRequest, ServiceOverloaded, ClientDisconnect, or HTTPException for a body that is too long.
    """
    return await _read(request, principal, parse_body)


async def wait_for_disconnect(request: Request) -> None:
    """Return when the client has disconnected; the body must have been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read(
    request: Request, principal: Principal, parse: Callable[[bytes], dict[str, object]]
) -> dict[str, object]:
    if request.scope["query_string"]:
        in_body = request.method == "POST"
        takes = "its parameters in the JSON body, none in the URL" if in_body else "no parameters"
        raise HTTPException(400, f"A {request.method} takes {takes}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(400, "A compressed JSON body is not read here: send it plain, without Content-Encoding")
    async with received_body(request, principal.team) as body:
        not_found_delay.mark_start(request.scope)
        if len(body) > _MAX_INLINE_BYTES:
            return await anyio.to_thread.run_sync(parse, body, limiter=thread_limits.CHECKS)
        return parse(body)
