"""A request's body in pieces: none is copied on its way, and each is sent in a time of its own."""

import base64
import hashlib
from collections.abc import Iterator, Sequence

_SEND_BYTES = 256 * 1024


class Pieces:
    """What is sent, piece by piece; it may be sent again.

    urllib3 sends a body of bytes in one ``sendall`` whose time limit is the one for connecting: 8 MiB in 3 s, or an
    error. Of what it can only iterate, the limit holds for each piece.
    """

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._pieces = [memoryview(piece) for piece in pieces]
        self._length = sum(map(len, pieces))

    def __len__(self) -> int:
        """Bytes in all, which requests asks for."""
        return self._length

    def __iter__(self) -> Iterator[memoryview]:
        """Pieces of at most 256 KiB."""
        for piece in self._pieces:
            for start in range(0, len(piece), _SEND_BYTES):
                yield piece[start : start + _SEND_BYTES]

    def md5(self) -> str:
        """Their MD5 as the header of a request has it."""
        found = hashlib.md5(usedforsecurity=False)
        for piece in self._pieces:
            found.update(piece)
        return base64.b64encode(found.digest()).decode("ascii")
