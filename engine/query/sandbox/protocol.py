"""What parent and child say to each other: frames of a letter, a length and a body, over two pipes."""

import struct
from enum import Enum
from typing import IO

from engine.common.chunk import Chunk

_HEAD = struct.Struct("<cQ")
_READ = struct.Struct("<IQQ")
MOST_READ_BYTES = 8 * 1024 * 1024
"""Of one READ: a statement may ask for a whole part, and the service holds no more of it than this."""


class Kind(Enum):
    """What a frame is."""

    JOB = b"J"
    READ = b"R"
    BYTES = b"B"
    ROWS = b"D"
    END = b"E"
    REFUSED = b"X"
    TOO_MUCH = b"L"
    BROKEN = b"F"


def send(stream: IO[bytes], kind: Kind, body: Chunk = b"") -> None:
    """Write one frame."""
    stream.write(_HEAD.pack(kind.value, len(body)) + body)
    stream.flush()


def receive(stream: IO[bytes], most_bytes: int | None = None) -> tuple[Kind, bytes]:
    """Read one frame. Raises EOFError when the other side is gone, or says that more than that will come."""
    head = _exactly(stream, _HEAD.size)
    kind, length = _HEAD.unpack(head)
    if most_bytes is not None and length > most_bytes:
        raise EOFError
    return Kind(kind), _exactly(stream, length)


def pack_read(part: int, start: int, length: int) -> bytes:
    """The body of a READ: which part, from which byte, how many."""
    return _READ.pack(part, start, length)


def unpack_read(body: bytes) -> tuple[int, int, int]:
    """The three numbers of a READ."""
    part, start, length = _READ.unpack(body)
    return part, start, length


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise EOFError
    return data
