"""What is known of a request when it is over: one dictionary, filled on the way, for logs and metrics.

Ids, counts and sizes only: never a key, a token, a signature, a query or a value of a row.
"""

from starlette.types import Scope

_KEY = "tailrace.facts"


def note(scope: Scope, **facts: object) -> None:
    """Remember facts of the request that is being served."""
    scope.setdefault(_KEY, {}).update(facts)


def facts_of(scope: Scope) -> dict[str, object]:
    """What was noted so far."""
    found: dict[str, object] = scope.get(_KEY, {})
    return found
