"""``/healthz``: whether the process responds. ``/readyz``: whether new requests should be sent here."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from engine.errors import ClockSkew
from web.container import Services
from web.telemetry.logs import LOG

_NO_STORE = {"cache-control": "no-store"}
_CHECK_SECONDS = 2.5
"""How long a dependency may take to respond. Load balancers and supervisors wait a few seconds for the answer."""


async def health(_: Request) -> Response:
    """Answer without accessing anything."""
    return PlainTextResponse("ok\n", headers=_NO_STORE)


async def ready(request: Request) -> Response:
    """Check the stores and DuckDB. A 503 names what is unavailable, and the log says why. Nothing is kept in a store.

    The member ``clock`` is there, and a sentence, if this machine's clock and a store's differ by more than a minute.
    While the service drains, it is a 503 without any check.
    """
    services: Services = request.app.state.services
    if services.draining.is_set():
        return JSONResponse({"service": "draining"}, 503, _NO_STORE)
    found = await _check(services)
    for name, error in found.items():
        if error is not None:
            LOG.warning("not ready: %s", name, exc_info=error)
    states = {name: _state(error) for name, error in found.items()}
    return JSONResponse(states, 503 if any(found.values()) else 200, _NO_STORE)


async def _check(services: Services) -> dict[str, Exception | None]:
    """Return the error of each dependency by name, None for one that responds; ``clock`` is a ClockSkew, if any."""
    running = {name: asyncio.wrap_future(check) for name, check in services.readiness.start().items()}
    await asyncio.wait(running.values(), timeout=_CHECK_SECONDS)
    found: dict[str, Exception | None] = {}
    for name, check in running.items():
        found[name] = check.result() if check.done() else _no_response()
        if isinstance(found[name], ClockSkew):
            # That store responds.
            found |= {"clock": found[name], name: None}
    return found


def _no_response() -> Exception:
    return TimeoutError(f"no response within {_CHECK_SECONDS} seconds")


def _state(error: Exception | None) -> str:
    if isinstance(error, ClockSkew):
        return error.message
    return "ok" if error is None else "unavailable"
