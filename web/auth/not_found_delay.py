"""How long a 404 takes: whole steps, so that its time does not tell whether something of another team was looked at."""

import asyncio
import time

from starlette.types import Scope

STEP_SECONDS = 0.02
"""Well above what a look at a store takes, and what two looks differ by."""

_KEY = "tailrace.asked"


def asked(scope: Scope) -> None:
    """The request is there as a whole and its caller is known: what comes is our pace, not the client's."""
    scope[_KEY] = time.monotonic()


def rest(seconds: float) -> float:
    """How much is left of the step that has begun."""
    return STEP_SECONDS - seconds % STEP_SECONDS


async def settle(scope: Scope) -> None:
    """Wait for the end of the step. Without a caller who was recognised there is nothing to hide."""
    began = scope.get(_KEY)
    if began is not None:
        await asyncio.sleep(rest(time.monotonic() - began))
