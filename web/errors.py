"""What goes wrong, as HTTP: one table from error to status, one shape of body."""

import logging
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.errors import (
    Cancelled,
    Conflict,
    EngineError,
    InvalidInput,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    SourceDamaged,
    StoreError,
    StoreUnavailable,
)
from web.admission import Busy
from web.denied import Denied
from web.request_id import request_id_of
from web.signing import PARAMETERS, BadSignature

_LOG = logging.getLogger("tailrace")
_OUR_FAULT = "Something went wrong on our side. Tell us the requestId if it goes on."

STATUSES: dict[type[Exception], int] = {
    InvalidRequest: 400,
    LimitExceeded: 400,
    Denied: 401,
    NotFound: 404,
    Busy: 503,
    Cancelled: 503,
    StoreUnavailable: 503,
    StoreError: 500,
    SourceDamaged: 500,
    Conflict: 500,
    InvalidInput: 500,
}
"""The status of each error; a subclass goes before its base. What is not here is a 500."""

_CODES_OF_STATUS = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    414: "uri_too_long",
}
_RETRY_SECONDS = 5


def status_of(error: Exception) -> int:
    """The status by the nearest class of the table."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


async def answer_error(request: Request, error: Exception) -> Response:
    """The answer to any error; only our own sentences leave the house."""
    if isinstance(error, HTTPException):
        return _answer_http(request, error)
    status = status_of(error)
    if status >= 500 and not isinstance(error, Busy | Cancelled):
        _LOG.error("request %s failed", request_id_of(request.scope), exc_info=error)
    if status == 500:
        return _answer(request, 500, _OUR_FAULT, "internal", {})
    headers = {}
    if status == 503:
        headers["retry-after"] = str(error.retry_after_seconds if isinstance(error, Busy) else _RETRY_SECONDS)
    if isinstance(error, Denied):
        headers["www-authenticate"] = 'Bearer realm="tailrace"'
        return _answer(request, status, error.message, error.code, {}, headers)
    if isinstance(error, EngineError):
        return _answer(request, status, error.message, error.code, error.details, headers)
    return _answer(request, status, str(error), "busy", {}, headers)


def _answer_http(request: Request, error: HTTPException) -> Response:
    query = request.scope["query_string"]
    if error.status_code == 404 and any(f"{name}=".encode() in query for name in PARAMETERS - {"format"}):
        # A signed URL whose path was tampered with beyond recognition.
        refused = BadSignature()
        return _answer(request, 401, refused.message, refused.code, {})
    code = _CODES_OF_STATUS.get(error.status_code, "invalid_request")
    return _answer(request, error.status_code, f"{error.detail}.", code, {}, error.headers)


def _answer(
    request: Request,
    status: int,
    message: str,
    code: str,
    details: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
) -> Response:
    request_id = request_id_of(request.scope)
    body = {
        "error": True,
        "message": message,
        "code": code,
        "details": dict(details),
        "requestId": request_id,
    }
    # The answer to what nobody foresaw does not pass the middleware that adds the id.
    return JSONResponse(body, status, {"cache-control": "no-store", "x-request-id": request_id, **(headers or {})})
