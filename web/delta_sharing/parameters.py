"""The parameters of a request in its query. Those that this server does not know are ignored, as the protocol grows."""

import re
from collections.abc import Mapping
from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine.errors import InvalidRequest
from web.api.parameters import split_query
from web.http.limits import MAX_QUERY_BYTES, QUERY_TOO_LONG

MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1


def read_query(request: Request) -> dict[str, object]:
    """The parameters of the URL. Raises InvalidRequest for one that is repeated, or for what is not URL-encoded."""
    query: bytes = request.scope["query_string"]
    if len(query) > MAX_QUERY_BYTES:
        raise HTTPException(414, QUERY_TOO_LONG)
    values: dict[str, object] = {}
    for name, text in split_query(query):
        if name in values:
            raise InvalidRequest(f"Duplicate parameter {name[:100]!r}.", parameter=name[:100])
        values[name] = text
    return values


def read_integer(values: Mapping[str, object], name: str, maximum: int) -> int | None:
    """The integer from 0 to ``maximum``, or None if there is none. Raises InvalidRequest."""
    value = values.get(name)
    if isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value, re.ASCII):
        value = int(value)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
        raise InvalidRequest(f"{name} must be an integer from 0 to {maximum}.", parameter=name)
    return value


def read_moment(values: Mapping[str, object], name: str) -> datetime | None:
    """The time, or None if there is none. Raises InvalidRequest unless it is ISO 8601 with an offset."""
    value = values.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidRequest(
            f"{name} must be an ISO 8601 time with an offset, such as 2022-01-01T00:00:00Z.", parameter=name
        )
    return moment


def read_text(values: Mapping[str, object], name: str) -> str | None:
    """The string, or None if there is none. Raises InvalidRequest."""
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{name} must be a string.", parameter=name)
    return value
