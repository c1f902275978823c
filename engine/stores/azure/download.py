"""Streams a blob's body from one long request, which is resumed if its connection breaks.

The SDK would make a request for each chunk, and read it to the end before it returns a byte.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ServiceResponseError
from azure.storage.blob import BlobClient, BlobProperties
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, IncompleteRead

from engine.errors import ObjectChanged, StoreError
from engine.stores.azure.client import BULK_READ_SECONDS, raising_store_errors
from engine.stores.object_stream import ObjectStream, chunk_bytes

_MAX_BREAKS = 3
"""Consecutive requests whose connection may break."""
_PROGRESS_BYTES = 8 * 1024 * 1024
"""A request that yields this much before its connection breaks resets the count."""
_RETRY_DELAY_SECONDS = 1.0


class BlobChunks(ObjectStream):
    """Exactly those bytes of that version, one chunk of it in memory.

    Each request names the version. Raises StoreError rather than end early. Uses a connection from the first chunk
    until it is exhausted, suspended or closed. ``check_version`` raises the reason if the version is not there.
    """

    def __init__(
        self,
        make_client: Callable[[], BlobClient],
        start: int,
        length: int,
        etag: str,
        check_version: Callable[[], object],
    ) -> None:
        self._make_client = make_client
        self._etag = etag
        self._check_version = check_version
        self._start = self._at = start
        self._end = start + length
        self._response: BaseHTTPResponse | None = None
        self._began = start
        self._breaks = 0

    def __next__(self) -> bytes:
        """The next chunk; waits for the service."""
        if self._at == self._end:
            raise StopIteration
        try:
            with raising_store_errors():
                chunk = self._read()
        except BaseException as error:
            self.close()
            if isinstance(error, ObjectChanged):
                # If-Match also fails if the blob does not exist.
                self._check_version()
            raise
        self._at += len(chunk)
        if self._at == self._end:
            self.close()
        return chunk

    def suspend(self) -> None:
        """Close the connection: a client that stalls then takes no connection, and none of the service's time."""
        if self._response is not None:
            # Closes the connection unless the body was read to its end, which has returned it to the pool.
            self._response.close()
            self._response = None

    def close(self) -> None:
        """Close the connection and end the stream."""
        self._at = self._end
        self.suspend()

    def _read(self) -> bytes:
        while True:
            if self._response is None:
                self._began = self._at
                self._response = _request(self._make_client(), self._at, self._end - self._at, self._etag)
            try:
                # The SDK's iterator would keep each chunk in memory until the next is requested.
                chunk = self._response.read(chunk_bytes(self._at - self._start), decode_content=False)
                if chunk:
                    return chunk
                raise IncompleteRead(self._at - self._began, self._end - self._at)
            except HTTPError as error:
                self.suspend()
                self._breaks = 0 if self._at - self._began >= _PROGRESS_BYTES else self._breaks + 1
                if self._breaks == _MAX_BREAKS:
                    # The SDK does not translate the error of a broken TLS connection.
                    raise ServiceResponseError(error, error=error) from error
                time.sleep(_RETRY_DELAY_SECONDS)


def _request(blob: BlobClient, start: int, length: int, etag: str) -> BaseHTTPResponse:
    """Request those bytes, and return the response with its body unread. Raises AzureError or StoreError.

    Only urllib3's response is retained: the SDK's objects and its client take three times as much memory.
    """
    bodies: list[Any] = []

    def take_body(response: Any, body: Any, headers: dict[str, Any]) -> tuple[None, _EmptyBody]:
        bodies.append(body)
        return None, _EmptyBody(response.http_response, BlobProperties(**headers))

    # The SDK retries until there is a response. Its generated operations pass the response to `cls`.
    blob.download_blob(
        start,
        length,
        cls=take_body,
        decompress=False,
        read_timeout=BULK_READ_SECONDS,
        etag=f'"{etag}"',
        match_condition=MatchConditions.IfNotModified,
    )
    body = bodies[-1]
    response: BaseHTTPResponse = body.response.internal_response.raw
    if body.content_length != length:
        response.close()
        raise StoreError("The object ended before the requested range did.")
    return response


class _EmptyBody:
    """Replaces the body in the SDK, which would read it to the end."""

    def __init__(self, response: Any, properties: BlobProperties) -> None:
        self.response = response
        self.properties = properties
        self.content_length = properties.size

    def __iter__(self) -> Iterator[bytes]:
        return iter(())
