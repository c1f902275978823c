"""The response to an error: one shape of body for every status (web/API.md, section 2)."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from web.telemetry.log_context import add_log_fields
from web.telemetry.request_id import request_id_of


class ErrorAnswer(BaseModel):
    """What went wrong. The message names the parameter, the offending entry, and what would have been right."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    error: Literal[True]
    message: str
    code: str
    details: dict[str, object] = Field(
        description="Of a 400: the parameter, and for filters and rowIds the entry (`filters[2]`) and its field"
    )
    request_id: str = Field(description="The response's x-request-id")


def error_body(*, message: str, code: str, details: Mapping[str, object], request_id: str) -> bytes:
    """Encode the body of an error as JSON."""
    answer = ErrorAnswer(error=True, message=message, code=code, details=dict(details), request_id=request_id)
    return answer.model_dump_json(by_alias=True).encode()


def error_response(
    request: Request,
    status: int,
    message: str,
    code: str,
    details: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the response to an error and add its code to the request's log entry."""
    request_id = request_id_of(request.scope)
    add_log_fields(request.scope, code=code)
    body = error_body(message=message, code=code, details=details or {}, request_id=request_id)
    # The response to a failure of the middleware itself does not pass through the one that adds the request id.
    common = {"cache-control": "no-store", "x-request-id": request_id}
    return Response(body, status, {**common, **(headers or {})}, media_type="application/json")
