"""The answer that carries a file: read in threads, and let go of when the client does."""

from collections.abc import AsyncIterator, Generator, Mapping

import anyio.lowlevel
import anyio.to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from engine.stores.local.file_chunks import FileChunks
from web.http import thread_limits


class FileStream(StreamingResponse):
    """Chunks of an object as a body. The object is closed when the answer ends, whichever way it does."""

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
        """The response, once its first chunk is there: what cannot be read is an error and not a 200 without bytes.

        Raises what the chunks raise.
        """
        try:
            first = await anyio.to_thread.run_sync(next, chunks, None, limiter=thread_limits.DOWNLOADS)
        except BaseException:
            # There is no response yet that would close it.
            chunks.close()
            raise
        return cls(chunks, status_code, headers, first)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body, to its end or until the client hangs up."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Without this, files of clients that hung up stay open until the collector finds them. No thread reads
            # any more: a cancelled answer waits for the chunk that it is at.
            self._chunks.close()


async def _read(chunks: Generator[bytes, None, None], first: bytes | None) -> AsyncIterator[bytes]:
    chunk = first if first is not None else await _next(chunks)
    # A reference to a chunk that has been sent would double what a client costs that does not read.
    first = None
    while chunk is not None:
        yield chunk
        del chunk
        # Waits until that chunk has left, so that a client which does not read costs one chunk and not two.
        yield b""
        chunk = await _next(chunks)


async def _next(chunks: Generator[bytes, None, None]) -> bytes | None:
    if isinstance(chunks, FileChunks) and (chunk := chunks.cached()) is not None:
        # A fast client never makes us wait: the others have their turn here.
        await anyio.lowlevel.checkpoint()
        return chunk
    return await anyio.to_thread.run_sync(next, chunks, None, limiter=thread_limits.DOWNLOADS)
