"""Bodies with rows, of any length: sent in pieces, and compressed if the caller wants it."""

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import cast

import anyio.to_thread
from starlette.responses import Response, StreamingResponse

from web.http import thread_limits

PIECE_BYTES = 128 * 1024
_GZIP_LEVEL = 1
_GZIP_WINDOW_BITS = 31
"""A window of 32 KiB within the gzip format."""


@dataclass(frozen=True, slots=True)
class RowsBody:
    """What is around the rows, and the headers of the answer."""

    head: bytes
    tail: bytes
    headers: Mapping[str, str]
    gzip: bool

    async def of_bytes(self, rows: bytes) -> Response:
        """Answer with rows that are in memory."""
        body = self.head + rows + self.tail
        if not self.gzip:
            return Response(body, headers=self.headers)
        body = await anyio.to_thread.run_sync(zlib.compress, body, _GZIP_LEVEL, _GZIP_WINDOW_BITS)
        return Response(body, headers={**self.headers, "content-encoding": "gzip"})

    def of_chunks(self, rows: AsyncIterator[bytes]) -> StreamingResponse:
        """Answer with rows that come while the body is sent.

        An exception of ``rows`` aborts the connection, since neither a chunked body nor a gzip stream has ended then.
        """
        return self.stream(StreamingResponse(rows))

    def stream(self, response: StreamingResponse, size: int | None = None) -> StreamingResponse:
        """Put what is around the rows into a response whose body is the rows, in ``size`` bytes if that is known."""
        response.headers.update(self.headers)
        body = self._around(cast("AsyncIterable[bytes]", response.body_iterator))
        if self.gzip:
            body = _gzipped(body)
            response.headers["content-encoding"] = "gzip"
        elif size is not None:
            response.headers["content-length"] = str(len(self.head) + size + len(self.tail))
        response.body_iterator = body
        return response

    async def _around(self, rows: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        yield self.head
        async for chunk in rows:
            yield chunk
        yield self.tail


async def _gzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """One gzip member, as every client of HTTP reads it."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW_BITS)
    async for chunk in chunks:
        if chunk:
            yield await anyio.to_thread.run_sync(compressor.compress, chunk, limiter=thread_limits.DOWNLOADS)
    yield compressor.flush()
