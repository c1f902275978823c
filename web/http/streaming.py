"""Responses that stream a file, which is read in threads and closed when the client disconnects."""

from collections.abc import AsyncIterator, Generator, Mapping

import anyio.lowlevel
import anyio.to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from engine.stores.local.file_chunks import FileChunks
from web.http import thread_limits


class FileStream(StreamingResponse):
    """A response whose body is the chunks of an object. The object is closed when the response ends, in any way."""

    def __init__(
        self,
        chunks: Generator[bytes, None, None],
        status_code: int,
        headers: Mapping[str, str],
        first: bytes | None = None,
    ) -> None:
        super().__init__(_read(chunks, first), status_code, headers)
        self._chunks = chunks

    @classmethod
    async def open(
        cls, chunks: Generator[bytes, None, None], status_code: int, headers: Mapping[str, str]
    ) -> "FileStream":
        """Read the first chunk, so that an unreadable file is an error instead of a 200 without bytes.

        Raises what the chunks raise.
        """
        try:
            first = await anyio.to_thread.run_sync(next, chunks, None, limiter=thread_limits.DOWNLOADS)
        except BaseException:
            # There is no response yet to close the chunks.
            chunks.close()
            raise
        return cls(chunks, status_code, headers, first)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body, to its end or until the client disconnects."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Otherwise the files of clients that disconnected stay open until they are garbage collected. No thread
            # is reading now: a cancelled response waits for its current chunk.
            self._chunks.close()


async def _read(chunks: Generator[bytes, None, None], first: bytes | None) -> AsyncIterator[bytes]:
    chunk = first if first is not None else await _next(chunks)
    # A reference to a chunk that was sent would double the memory of a client that does not read.
    first = None
    while chunk is not None:
        yield chunk
        del chunk
        # Waits until the chunk is sent, so that a client that does not read takes the memory of one chunk, not two.
        yield b""
        chunk = await _next(chunks)


async def _next(chunks: Generator[bytes, None, None]) -> bytes | None:
    if isinstance(chunks, FileChunks) and (chunk := chunks.cached()) is not None:
        # Sending to a fast client never blocks, so yield to other clients here.
        await anyio.lowlevel.checkpoint()
        return chunk
    return await anyio.to_thread.run_sync(next, chunks, None, limiter=thread_limits.DOWNLOADS)
