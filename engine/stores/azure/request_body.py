"""A request body that is sent in chunks, without a copy, each within the socket's timeout."""

from collections.abc import Iterator

_SEND_BYTES = 256 * 1024


class ChunkedBody:
    """Bytes that are sent in chunks, and can be sent again for a retry.

    urllib3 sends a body of bytes in one ``sendall``, which is limited by the connect timeout: 8 MiB within 3 s. For an
    iterable body, the timeout applies to each chunk.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)

    def __len__(self) -> int:
        """The number of bytes; requests sets Content-Length from it."""
        return len(self._data)

    def __iter__(self) -> Iterator[memoryview]:
        """Chunks of at most 256 KiB."""
        for start in range(0, len(self._data), _SEND_BYTES):
            yield self._data[start : start + _SEND_BYTES]
