"""The log fields of a request: one dictionary in its scope, filled while it is served, for logs and metrics.

Ids, counts and sizes only: never a key, a token, a signature, a query or a cell value.
"""

from contextvars import ContextVar

from starlette.types import Scope

from web.telemetry.request_id import request_id_of

_KEY = "tailrace.log_fields"
_DISCONNECTED = "tailrace.disconnected"
_CURRENT: ContextVar[Scope | None] = ContextVar("current_request", default=None)


def set_current_request(scope: Scope) -> None:
    """Make this the current request of the running task."""
    _CURRENT.set(scope)


def caller_fields() -> dict[str, object]:
    """The id and the caller of the current request, for work that outlives it; empty outside of a request."""
    scope = _CURRENT.get()
    if scope is None:
        return {}
    return {"requestId": request_id_of(scope), "caller": log_fields(scope).get("caller")}


def add_log_fields(scope: Scope, **fields: object) -> None:
    """Add fields to the log line of a request."""
    scope.setdefault(_KEY, {}).update(fields)


def note_disconnect(scope: Scope) -> None:
    """Note that the connection of a request is closed."""
    scope[_DISCONNECTED] = True


def is_disconnected(scope: Scope) -> bool:
    """Whether the connection of a request is closed."""
    return _DISCONNECTED in scope


def log_fields(scope: Scope) -> dict[str, object]:
    """The fields that were added so far."""
    fields: dict[str, object] = scope.get(_KEY, {})
    return fields
