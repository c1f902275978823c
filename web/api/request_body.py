"""Request bodies: bounded in length, and in the memory that they take together while they arrive."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request

from web.jobs.admission import Busy

MAX_BODY_BYTES = 8 * 1024 * 1024
_SMALL_BODY_BYTES = 64 * 1024
"""What uvicorn buffers of a body in any case."""
_TEAM_BYTES = 3 * MAX_BODY_BYTES
_TOTAL_BYTES = 8 * MAX_BODY_BYTES
_WAIT_SECONDS = 10


class BodyMemory:
    """Shares memory out to request bodies before they are read, so that bodies that stall cannot take all of it.

    A body that waits is not read: its client waits as well.
    """

    def __init__(self, *, total_bytes: int, team_bytes: int, wait_seconds: float) -> None:
        self._total_bytes = total_bytes
        self._team_bytes = team_bytes
        self._wait_seconds = wait_seconds
        self._used: Counter[str] = Counter()
        self._waiting: set[asyncio.Future[None]] = set()

    @asynccontextmanager
    async def reserve(self, team: str, size: int) -> AsyncIterator[None]:
        """Hold memory for a body of so many bytes. Raises Busy if there is none for too long."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not self._fits(team, size):
                    await self._change()
        except TimeoutError:
            raise Busy(self._wait_seconds.__ceil__()) from None
        self._used[team] += size
        try:
            yield
        finally:
            self._used[team] -= size
            self._used += Counter()  # drops teams with nothing
            for future in self._waiting:
                if not future.done():
                    future.set_result(None)

    def _fits(self, team: str, size: int) -> bool:
        return self._used[team] + size <= self._team_bytes and self._used.total() + size <= self._total_bytes

    async def _change(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)


_MEMORY = BodyMemory(total_bytes=_TOTAL_BYTES, team_bytes=_TEAM_BYTES, wait_seconds=_WAIT_SECONDS)


@asynccontextmanager
async def received_body(request: Request, team: str) -> AsyncIterator[bytes]:
    """The whole body of a request; its memory is accounted for until the block ends.

    Raises HTTPException for a body that is too long (by its Content-Length, before any of it is read), Busy if there
    is no memory for it, and ClientDisconnect.
    """
    length = _content_length(request)
    if length is not None and length > MAX_BODY_BYTES:
        raise _too_long()
    if length is not None and length <= _SMALL_BODY_BYTES:
        yield await _read(request)
        return
    async with _MEMORY.reserve(team, MAX_BODY_BYTES if length is None else length):
        yield await _read(request)


def _content_length(request: Request) -> int | None:
    """What the header says, which h11 has checked; None of a body in chunks."""
    if "transfer-encoding" in request.headers:
        return None
    return int(request.headers.get("content-length", "0"))


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _too_long()
    return bytes(body)


def _too_long() -> HTTPException:
    return HTTPException(413, f"The body is longer than {MAX_BODY_BYTES} bytes")
