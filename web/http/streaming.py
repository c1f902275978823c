"""The answer that carries a file: read in threads, and let go of when the client does."""

from collections.abc import AsyncIterator, Generator, Mapping

import anyio.to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from web.http import thread_limits


class FileStream(StreamingResponse):
    """Chunks of an object as a body. The object is closed when the answer ends, whichever way it does."""

    def __init__(
        self,
        chunks: Generator[bytes, None, None],
        status_code: int,
        headers: Mapping[str, str],
        *,
        first: bytes | None = None,
    ) -> None:
        super().__init__(_read(first, chunks), status_code, headers)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body, to its end or until the client hangs up."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Without this, files of clients that hung up stay open until the collector finds them. No thread reads
            # any more: a cancelled answer waits for the chunk that it is at.
            self._chunks.close()


async def open_stream(chunks: Generator[bytes, None, None], status_code: int, headers: Mapping[str, str]) -> FileStream:
    """The answer with its first chunk read: what the store raises on opening is raised before any header is sent."""
    try:
        first = await _next(chunks)
    except BaseException:
        # No answer is there yet to close it.
        chunks.close()
        raise
    return FileStream(chunks, status_code, headers, first=first)


async def _read(chunk: bytes | None, chunks: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
    if chunk is not None:
        yield chunk
    while (chunk := await _next(chunks)) is not None:
        yield chunk


async def _next(chunks: Generator[bytes, None, None]) -> bytes | None:
    return await anyio.to_thread.run_sync(next, chunks, None, limiter=thread_limits.DOWNLOADS)
