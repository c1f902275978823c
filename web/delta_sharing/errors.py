"""Errors in the protocol's shape: ``{"errorCode", "message"}``."""

import json
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.errors import InvalidRequest
from web.api.errors import answer_error

ERROR_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "REQUEST_TOO_LARGE",
    414: "REQUEST_TOO_LARGE",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
"""By status. The protocol leaves the codes to servers; those of 400, 404 and 500 are the reference server's."""

_UNSUPPORTED = "UNSUPPORTED_OPERATION"
Endpoint = Callable[[Request], Awaitable[Response]]


class Unsupported(InvalidRequest):
    """A part of the protocol that this server does not have."""


class DeltaSharingError(BaseModel):
    """An error of Delta Sharing. The id of the request is in the header `x-request-id`."""

    error_code: str = Field(
        alias="errorCode", json_schema_extra={"enum": [*sorted({*ERROR_CODES.values(), _UNSUPPORTED})]}
    )
    message: str


def answering(endpoint: Endpoint, *methods: str) -> Endpoint:
    """The endpoint for these methods, whose errors have the protocol's shape."""

    async def answer(request: Request) -> Response:
        try:
            if request.method not in methods:
                raise HTTPException(405, "Method Not Allowed", {"allow": ", ".join(methods)})
            return await endpoint(request)
        except Exception as error:  # noqa: BLE001  # all of them, as the handler of the application does
            response = await answer_error(request, error)
            return _in_shape(response, error)

    return answer


def _in_shape(response: Response, error: Exception) -> Response:
    if not response.body:
        return response
    code = _UNSUPPORTED if isinstance(error, Unsupported) else ERROR_CODES.get(response.status_code)
    message = json.loads(bytes(response.body))["message"]
    body = DeltaSharingError(errorCode=code or ERROR_CODES[400], message=message)
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(body.model_dump_json(by_alias=True), response.status_code, headers)
