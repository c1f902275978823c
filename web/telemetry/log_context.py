"""What is known of a request when it is over: one dictionary, filled on the way, for logs and metrics.

Ids, counts and sizes only: never a key, a token, a signature, a query or a value of a row.
"""

from contextvars import ContextVar

from starlette.types import Scope

from web.telemetry.request_id import request_id_of

_KEY = "tailrace.facts"
_SERVED: ContextVar[Scope | None] = ContextVar("served", default=None)


def serve(scope: Scope) -> None:
    """From here on, this is the request that is being served."""
    _SERVED.set(scope)


def asker() -> dict[str, object]:
    """The id and the caller of the request that is being served, for what outlives it; none outside of one."""
    scope = _SERVED.get()
    if scope is None:
        return {}
    return {"requestId": request_id_of(scope), "caller": facts_of(scope).get("caller")}


def note(scope: Scope, **facts: object) -> None:
    """Remember facts of the request that is being served."""
    scope.setdefault(_KEY, {}).update(facts)


def facts_of(scope: Scope) -> dict[str, object]:
    """What was noted so far."""
    found: dict[str, object] = scope.get(_KEY, {})
    return found
