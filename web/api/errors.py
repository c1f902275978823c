"""The status, code and headers of each error."""

from collections import defaultdict
from collections.abc import Iterator

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from engine.errors import (
    Cancelled,
    ClusterUnavailable,
    Conflict,
    EngineError,
    InvalidInput,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    QuotaExceeded,
    SourceDamaged,
    StoreError,
    StoreUnavailable,
)
from web.auth.errors import Forbidden, Unauthenticated
from web.auth.not_found_delay import delay_not_found
from web.auth.signed_urls import PARAMETERS, BadSignature
from web.http.error_body import error_response
from web.jobs.admission import ServiceOverloaded
from web.telemetry.logs import log_failure
from web.telemetry.request_id import request_id_of

_INTERNAL_MESSAGE = "Internal error. If it persists, report it with the requestId."

STATUSES: dict[type[Exception], int] = {
    InvalidRequest: 400,
    LimitExceeded: 400,
    InvalidInput: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    QuotaExceeded: 429,
    ServiceOverloaded: 503,
    Cancelled: 503,
    StoreUnavailable: 503,
    ClusterUnavailable: 503,
    StoreError: 500,
    SourceDamaged: 500,
}
"""The status of each error and its subclasses. Any other exception is a 500."""

_CODES_OF_STATUS = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
}
_UNDOCUMENTED = {403: "forbidden"}
"""Of `/mcp`, which the OpenAPI document does not describe."""

_RETRY_SECONDS = 5
_QUOTA_RETRY_SECONDS = 600
"""A sweep or a deletion frees storage; when is unknown."""
_CLIENT_CLOSED_REQUEST = 499
"""As nginx logs it. HTTP has no status for it, since no client receives one."""


def status_of(error: Exception) -> int:
    """Return the status of the nearest class in `STATUSES`."""
    return _status_of(type(error))


def error_codes() -> dict[int, tuple[str, ...]]:
    """Return every code that the body of an error can have, by status."""
    codes: defaultdict[int, set[str]] = defaultdict(set)
    for status, code in _CODES_OF_STATUS.items():
        codes[status].add(code)
    kinds: list[type[Exception]] = [ServiceOverloaded, Forbidden, *_family(EngineError), *_family(Unauthenticated)]
    for kind in kinds:
        codes[_status_of(kind)].add(_code_of(kind))
    return {status: tuple(sorted(codes[status])) for status in sorted(codes)}


def _status_of(kind: type[Exception]) -> int:
    return next((STATUSES[base] for base in kind.__mro__ if base in STATUSES), 500)


def _code_of(kind: type[Exception]) -> str:
    if issubclass(kind, ServiceOverloaded):
        return "busy"
    if issubclass(kind, EngineError | Unauthenticated | Forbidden) and _status_of(kind) != 500:
        return kind.code
    return EngineError.code


def _family(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


async def answer_error(request: Request, error: Exception) -> Response:
    """Build the response to any exception. Only messages that are written for callers are sent."""
    if isinstance(error, HTTPException):
        return _answer_http(request, error)
    if isinstance(error, ClientDisconnect):
        # The client disconnected while its body was read; the status is only for the log.
        return Response(status_code=_CLIENT_CLOSED_REQUEST)
    status, code = status_of(error), _code_of(type(error))
    if status >= 500 and not isinstance(error, ServiceOverloaded | Cancelled):
        log_failure(error, request_id_of(request.scope))
    if status == 500:
        return error_response(request, 500, _INTERNAL_MESSAGE, code, {})
    headers = {}
    if status == 503:
        headers["retry-after"] = str(
            error.retry_after_seconds if isinstance(error, ServiceOverloaded) else _RETRY_SECONDS
        )
    if status == 429:
        headers["retry-after"] = str(_QUOTA_RETRY_SECONDS)
    if isinstance(error, Unauthenticated):
        return _answer_denied(request, error)
    if isinstance(error, NotFound):
        await delay_not_found(request.scope)
    if isinstance(error, EngineError):
        return error_response(request, status, error.message, code, error.details, headers)
    return error_response(request, status, str(error), code, {}, headers)


def _answer_http(request: Request, error: HTTPException) -> Response:
    query = request.scope["query_string"]
    if error.status_code == 404 and any(f"{name}=".encode() in query for name in PARAMETERS - {"format"}):
        # A signed URL whose path was altered so that no route matches.
        return _answer_denied(request, BadSignature())
    code = {**_CODES_OF_STATUS, **_UNDOCUMENTED}.get(error.status_code, "invalid_request")
    return error_response(request, error.status_code, f"{error.detail}.", code, {}, error.headers)


def _answer_denied(request: Request, error: Unauthenticated) -> Response:
    headers = {"www-authenticate": 'Bearer realm="tailrace"'}
    return error_response(request, 401, error.message, error.code, {}, headers)
