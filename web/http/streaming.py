"""Responses that stream an object, which is read in threads and closed when the client disconnects."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import anyio.lowlevel
import anyio.to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from engine.stores.object_stream import ObjectStream
from web.http import thread_limits

SUSPEND_SECONDS = 2.0
"""How long a client may leave a chunk unread before its connection to the store is closed, until it reads on."""


class FileStream(StreamingResponse):
    """A response whose body is the chunks of a stream. The stream is closed when the response ends, in any way."""

    def __init__(
        self, stream: ObjectStream, status_code: int, headers: Mapping[str, str], first: bytes | None = None
    ) -> None:
        super().__init__(_read(stream, first), status_code, headers)
        self._stream = stream

    @classmethod
    async def open(
        cls, make_stream: Callable[[], ObjectStream], status_code: int, headers: Mapping[str, str]
    ) -> "FileStream":
        """Read the first chunk, so that an unreadable object is an error instead of a 200 without bytes.

        Raises what ``make_stream`` and the stream raise.
        """
        stream, first = await anyio.to_thread.run_sync(_begin, make_stream, limiter=thread_limits.DOWNLOADS)
        return cls(stream, status_code, headers, first)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body, to its end or until the client disconnects."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Otherwise the files of clients that disconnected stay open until they are garbage collected. No thread
            # is reading now: a cancelled response waits for its current chunk.
            self._stream.close()


def _begin(make_stream: Callable[[], ObjectStream]) -> tuple[ObjectStream, bytes | None]:
    stream = make_stream()
    try:
        return stream, next(stream, None)
    except BaseException:
        # There is no response yet to close the stream.
        stream.close()
        raise


async def _read(stream: ObjectStream, first: bytes | None) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    chunk = first if first is not None else await _next(stream)
    # A reference to a chunk that was sent would double the memory of a client that does not read.
    first = None
    while chunk is not None:
        yield chunk
        del chunk
        stalled = loop.call_later(SUSPEND_SECONDS, stream.suspend)
        # Waits until the chunk is sent, so that a client that does not read takes the memory of one chunk, not two.
        yield b""
        stalled.cancel()
        chunk = await _next(stream)


async def _next(stream: ObjectStream) -> bytes | None:
    if (chunk := stream.cached()) is not None:
        # Sending to a fast client never blocks, so yield to other clients here.
        await anyio.lowlevel.checkpoint()
        return chunk
    return await anyio.to_thread.run_sync(next, stream, None, limiter=thread_limits.DOWNLOADS)
