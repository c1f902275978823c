"""``/healthz``: the process answers."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response


async def health(_: Request) -> Response:
    """Answer without asking anyone."""
    return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})
