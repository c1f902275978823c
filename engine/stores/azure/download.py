"""The body of a blob, read as it comes: one long request, taken up again where its connection broke.

The SDK hands a body out in chunks, each a request of its own that is read whole and joined before anyone sees a byte.
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

_BREAKS = 3
"""Requests in a row that broke, after which the line is given up."""
_FORGIVEN_BYTES = 8 * 1024 * 1024
"""A request that brought as much before it broke starts the count anew."""
_PAUSE_SECONDS = 1.0


def body_of(blob: BlobClient, start: int, length: int, etag: str) -> Generator[bytes, None, None]:
    """Exactly those bytes of that version, in pieces of the transport's block size at most, of which it holds one.

    Each request is pinned to the version. Raises AzureError rather than ends short. Until it is closed or at its end
    it holds a connection.
    """
    at, end, breaks = start, start + length, 0

    def counted(piece: bytes) -> bytes:
        nonlocal at
        at += len(piece)
        return piece

    while at < end:
        began = at
        answer = _Answer(blob, start=at, length=end - at, etag=etag)
        with closing(answer):
            if answer.length != end - at:
                raise StoreError("The object ended before the requested range did.")
            try:
                # A loop would hold on to each piece until the next one is wanted, which may be long.
                yield from map(counted, answer)
                if at < end:
                    raise ServiceResponseError("The body ended before the range did.")
            except AzureError:
                breaks = 0 if at - began >= _FORGIVEN_BYTES else breaks + 1
                if breaks == _BREAKS:
                    raise
                time.sleep(_PAUSE_SECONDS)


class _Answer:
    """One request that was answered, and the body that is still on the line."""

    def __init__(self, blob: BlobClient, *, start: int, length: int, etag: str) -> None:
        self._body: Any = None
        # The retries until there is an answer are the SDK's own. `cls` is what its generated operations call with it.
        blob.download_blob(
            start,
            length,
            cls=self._keep,
            decompress=False,
            read_timeout=BULK_READ_SECONDS,
            etag=f'"{etag}"',
            match_condition=MatchConditions.IfNotModified,
        )

    @property
    def length(self) -> int:
        """Bytes that the answer promises."""
        length: int = self._body.content_length
        return length

    def __iter__(self) -> Iterator[bytes]:
        """Pieces as they come from the line."""
        try:
            # The SDK's own iterator holds on to each piece until the next one is wanted.
            raw = self._body.response.internal_response.raw
            yield from iter(partial(raw.read, READ_BYTES, decode_content=False), b"")
        except HTTPError as error:
            # A line with TLS that breaks is none of the errors that the SDK knows.
            raise ServiceResponseError(error, error=error) from error

    def close(self) -> None:
        """Give the connection back, or end it if there is more on it than was read."""
        self._body.response.internal_response.close()

    def _keep(self, response: Any, body: Any, headers: dict[str, Any]) -> tuple[None, "_Read"]:
        self._body = body
        return None, _Read(response.http_response, BlobProperties(**headers))


class _Read:
    """What the SDK gets in the place of the body, so that it has nothing to read."""

    def __init__(self, response: Any, properties: BlobProperties) -> None:
        self.response = response
        self.properties = properties
        self.content_length = properties.size

    def __iter__(self) -> Iterator[bytes]:
        return iter(())
