"""A request's body in pieces: none is copied on its way, and each is sent in a time of its own."""

import base64
import hashlib
from collections.abc import Iterator

_SEND_BYTES = 256 * 1024


class Pieces:
    """Bytes that are sent piece by piece, and again if need be.

    urllib3 sends a body of bytes in one ``sendall`` whose time limit is the one for connecting: 8 MiB in 3 s, or an
    error. Of what it can only iterate, the limit holds for each piece.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)

    def __len__(self) -> int:
        """Bytes in all, which requests asks for."""
        return len(self._data)

    def __iter__(self) -> Iterator[memoryview]:
        """Pieces of at most 256 KiB."""
        for start in range(0, len(self._data), _SEND_BYTES):
            yield self._data[start : start + _SEND_BYTES]

    def md5(self) -> str:
        """The MD5 of all as the header of a request has it."""
        return base64.b64encode(hashlib.md5(self._data, usedforsecurity=False).digest()).decode("ascii")
