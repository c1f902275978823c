"""Receives request bodies, with limits on the size of one and on the memory that all of them take."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request

from web.jobs.admission import ServiceOverloaded

MAX_BODY_BYTES = 8 * 1024 * 1024
_SMALL_BODY_BYTES = 64 * 1024
"""uvicorn buffers this much of a body in any case."""
_TEAM_BYTES = 3 * MAX_BODY_BYTES
_TOTAL_BYTES = 8 * MAX_BODY_BYTES
_WAIT_SECONDS = 10


class BodyMemory:
    """Reserves memory for request bodies before they are read, so that stalled ones cannot take all of it.

    A body that waits for memory is not read, so its client cannot send more.
    """

    def __init__(self, *, total_bytes: int, team_bytes: int, wait_seconds: float) -> None:
        self._total_bytes = total_bytes
        self._team_bytes = team_bytes
        self._wait_seconds = wait_seconds
        self._used: Counter[str] = Counter()
        self._waiting: set[asyncio.Future[None]] = set()

    @asynccontextmanager
    async def reserve(self, team: str, size: int) -> AsyncIterator[None]:
        """Reserve ``size`` bytes for a body. Raises ServiceOverloaded if they do not become free in time."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not self._fits(team, size):
                    await self._released()
        except TimeoutError:
            raise ServiceOverloaded(self._wait_seconds.__ceil__()) from None
        self._used[team] += size
        try:
            yield
        finally:
            self._used[team] -= size
            self._used += Counter()  # removes teams at zero
            for future in self._waiting:
                if not future.done():
                    future.set_result(None)

    def _fits(self, team: str, size: int) -> bool:
        return self._used[team] + size <= self._team_bytes and self._used.total() + size <= self._total_bytes

    async def _released(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)


_MEMORY = BodyMemory(total_bytes=_TOTAL_BYTES, team_bytes=_TEAM_BYTES, wait_seconds=_WAIT_SECONDS)


@asynccontextmanager
async def received_body(request: Request, team: str) -> AsyncIterator[bytes]:
    """Receive the body of a request; its memory is reserved until the block ends.

    Raises HTTPException for a body that is too long (if it has a Content-Length, before it is read), ServiceOverloaded
    if there is no memory for it, or ClientDisconnect.
    """
    length = _content_length(request)
    if length is not None and length > MAX_BODY_BYTES:
        raise _body_too_long()
    if length is not None and length <= _SMALL_BODY_BYTES:
        yield await _read(request)
        return
    async with _MEMORY.reserve(team, MAX_BODY_BYTES if length is None else length):
        yield await _read(request)


def _content_length(request: Request) -> int | None:
    """Return the Content-Length, which h11 has validated; None for a chunked body."""
    if "transfer-encoding" in request.headers:
        return None
    return int(request.headers.get("content-length", "0"))


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _body_too_long()
    return bytes(body)


def _body_too_long() -> HTTPException:
    return HTTPException(413, f"The body is longer than {MAX_BODY_BYTES:,} bytes")
