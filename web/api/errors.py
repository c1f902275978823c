"""What goes wrong, as HTTP: one table from error to status, one shape of body."""

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
from web.auth.errors import Denied, Forbidden
from web.auth.not_found_delay import settle
from web.auth.signed_urls import PARAMETERS, BadSignature
from web.http.error_body import error_response
from web.jobs.admission import Busy
from web.telemetry.logs import LOG
from web.telemetry.request_id import request_id_of

_OUR_FAULT = "Something went wrong on our side. Tell us the requestId if it goes on."

STATUSES: dict[type[Exception], int] = {
    InvalidRequest: 400,
    LimitExceeded: 400,
    InvalidInput: 400,
    Denied: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    QuotaExceeded: 429,
    Busy: 503,
    Cancelled: 503,
    StoreUnavailable: 503,
    ClusterUnavailable: 503,
    StoreError: 500,
    SourceDamaged: 500,
}
"""The status of each error; a subclass goes before its base. What is not here is a 500."""

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
"""Of `/mcp`, which the OpenAPI document leaves to its own protocol."""

_RETRY_SECONDS = 5
_QUOTA_RETRY_SECONDS = 600
"""Room comes from a sweep or a removal; nobody knows when."""
_CLIENT_CLOSED_REQUEST = 499
"""nginx's number for it; HTTP has none, since nobody gets it."""


def status_of(error: Exception) -> int:
    """The status by the nearest class of the table."""
    return _status_of(type(error))


def error_codes() -> dict[int, tuple[str, ...]]:
    """Every code that the body of an error can have, by its status."""
    codes: defaultdict[int, set[str]] = defaultdict(set)
    for status, code in _CODES_OF_STATUS.items():
        codes[status].add(code)
    kinds: list[type[Exception]] = [Busy, Forbidden, *_family(EngineError), *_family(Denied)]
    for kind in kinds:
        codes[_status_of(kind)].add(_code_of(kind))
    return {status: tuple(sorted(codes[status])) for status in sorted(codes)}


def _status_of(kind: type[Exception]) -> int:
    return next((STATUSES[base] for base in kind.__mro__ if base in STATUSES), 500)


def _code_of(kind: type[Exception]) -> str:
    if issubclass(kind, Busy):
        return "busy"
    if issubclass(kind, EngineError | Denied | Forbidden) and _status_of(kind) != 500:
        return kind.code
    return EngineError.code


def _family(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


async def answer_error(request: Request, error: Exception) -> Response:
    """The answer to any error; only our own sentences leave the house."""
    if isinstance(error, HTTPException):
        return _answer_http(request, error)
    if isinstance(error, ClientDisconnect):
        # It left while its body was read. The status is for the log.
        return Response(status_code=_CLIENT_CLOSED_REQUEST)
    status, code = status_of(error), _code_of(type(error))
    if status >= 500 and not isinstance(error, Busy | Cancelled):
        LOG.error("failed", exc_info=error, extra={"facts": {"requestId": request_id_of(request.scope)}})
    if status == 500:
        return error_response(request, 500, _OUR_FAULT, code, {})
    headers = {}
    if status == 503:
        headers["retry-after"] = str(error.retry_after_seconds if isinstance(error, Busy) else _RETRY_SECONDS)
    if status == 429:
        headers["retry-after"] = str(_QUOTA_RETRY_SECONDS)
    if isinstance(error, Denied):
        return _answer_denied(request, error)
    if isinstance(error, NotFound):
        await settle(request.scope)
    if isinstance(error, EngineError):
        return error_response(request, status, error.message, code, error.details, headers)
    return error_response(request, status, str(error), code, {}, headers)


def _answer_http(request: Request, error: HTTPException) -> Response:
    query = request.scope["query_string"]
    if error.status_code == 404 and any(f"{name}=".encode() in query for name in PARAMETERS - {"format"}):
        # A signed URL whose path was tampered with beyond recognition.
        return _answer_denied(request, BadSignature())
    code = {**_CODES_OF_STATUS, **_UNDOCUMENTED}.get(error.status_code, "invalid_request")
    return error_response(request, error.status_code, f"{error.detail}.", code, {}, error.headers)


def _answer_denied(request: Request, error: Denied) -> Response:
    headers = {"www-authenticate": 'Bearer realm="tailrace"'}
    return error_response(request, 401, error.message, error.code, {}, headers)
