"""Rounds the time of a 404 up to whole steps, so that it does not reveal whether another team's object exists."""

import asyncio
import time

from starlette.types import Scope

STEP_SECONDS = 0.02
"""Well above the time of a look-up in a store, and above the difference between two look-ups."""

_KEY = "tailrace.not_found_delay"


def mark_start(scope: Scope) -> None:
    """Start the first step. Call it when the request has been read and its caller is known.

    From then on the time depends on the service alone, not on how fast the client sends.
    """
    scope[_KEY] = time.monotonic()


def remaining(seconds: float) -> float:
    """The seconds left of the current step, ``seconds`` after the start."""
    return STEP_SECONDS - seconds % STEP_SECONDS


async def delay_not_found(scope: Scope) -> None:
    """Wait for the end of the step. Returns at once for unauthenticated requests, which are answered 401."""
    started = scope.get(_KEY)
    if started is not None:
        await asyncio.sleep(remaining(time.monotonic() - started))
