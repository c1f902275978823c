"""Streams a blob's body from one long request, which is resumed if its connection breaks.

The SDK would make a request for each chunk, and read it to the end before it returns a byte.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ServiceResponseError
from azure.storage.blob import BlobClient, BlobProperties
from urllib3.exceptions import HTTPError

from engine.errors import StoreError
from engine.stores.azure.client import BULK_READ_SECONDS, READ_BYTES

_MAX_BREAKS = 3
"""Consecutive requests whose connection may break."""
_PROGRESS_BYTES = 8 * 1024 * 1024
"""A request that yields this much before its connection breaks resets the count."""
_RETRY_DELAY_SECONDS = 1.0


def stream_body(blob: BlobClient, start: int, length: int, etag: str) -> Generator[bytes, None, None]:
    """Exactly those bytes of that version, in chunks of at most `READ_BYTES`, one of them in memory.

    Each request names the version. Raises AzureError or StoreError rather than end early. Uses a connection until it is
    exhausted or closed.
    """
    at, end, breaks = start, start + length, 0

    def counted(chunk: bytes) -> bytes:
        nonlocal at
        at += len(chunk)
        return chunk

    while at < end:
        began = at
        response = _Response(blob, start=at, length=end - at, etag=etag)
        with closing(response):
            if response.length != end - at:
                raise StoreError("The object ended before the requested range did.")
            try:
                # A for loop would keep each chunk in memory until the next is requested, which may take long.
                yield from map(counted, response)
                if at < end:
                    raise ServiceResponseError("The body ended before the range did.")
            except AzureError:
                breaks = 0 if at - began >= _PROGRESS_BYTES else breaks + 1
                if breaks == _MAX_BREAKS:
                    raise
                time.sleep(_RETRY_DELAY_SECONDS)


class _Response:
    """The response to one request, with a body that is read from the connection."""

    def __init__(self, blob: BlobClient, *, start: int, length: int, etag: str) -> None:
        self._body: Any = None
        # The SDK retries until there is a response. Its generated operations pass the response to `cls`.
        blob.download_blob(
            start,
            length,
            cls=self._take_body,
            decompress=False,
            read_timeout=BULK_READ_SECONDS,
            etag=f'"{etag}"',
            match_condition=MatchConditions.IfNotModified,
        )

    @property
    def length(self) -> int:
        """The Content-Length of the response."""
        length: int = self._body.content_length
        return length

    def __iter__(self) -> Iterator[bytes]:
        """Chunks as they arrive."""
        try:
            # The SDK's iterator would keep each chunk in memory until the next is requested.
            raw = self._body.response.internal_response.raw
            yield from iter(partial(raw.read, READ_BYTES, decode_content=False), b"")
        except HTTPError as error:
            # The SDK does not translate the error of a broken TLS connection.
            raise ServiceResponseError(error, error=error) from error

    def close(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to the end."""
        self._body.response.internal_response.close()

    def _take_body(self, response: Any, body: Any, headers: dict[str, Any]) -> tuple[None, "_EmptyBody"]:
        self._body = body
        return None, _EmptyBody(response.http_response, BlobProperties(**headers))


class _EmptyBody:
    """Replaces the body in the SDK, which would read it to the end."""

    def __init__(self, response: Any, properties: BlobProperties) -> None:
        self.response = response
        self.properties = properties
        self.content_length = properties.size

    def __iter__(self) -> Iterator[bytes]:
        return iter(())
