"""The protocol between parent and child: frames of a type (one byte), a length and a body, over two pipes."""

import struct
from enum import Enum
from typing import IO

from pydantic import BaseModel

from engine.common.chunk import Chunk

_HEAD = struct.Struct("<cQ")
_READ = struct.Struct("<IQQ")
MAX_READ_BYTES = 8 * 1024 * 1024
"""Maximum bytes of one READ: a statement may read an entire part, and the service holds at most this much of it."""


class FrameType(Enum):
    """The parent sends STATEMENT and, for each READ, BYTES; the child sends READ and ROWS, and END or an error last."""

    STATEMENT = b"J"
    READ = b"R"
    BYTES = b"B"
    ROWS = b"D"
    END = b"E"
    REFUSED = b"X"
    LIMIT_EXCEEDED = b"L"
    FAILED = b"F"


class Refusal(BaseModel):
    """The body of REFUSED: a message for the caller, and which parameter and entry of the request is wrong."""

    message: str
    parameter: str = "sql"
    entry: str | None = None


def send(stream: IO[bytes], kind: FrameType, body: Chunk = b"") -> None:
    """Write one frame."""
    stream.write(_HEAD.pack(kind.value, len(body)) + body)
    stream.flush()


def receive(stream: IO[bytes], max_bytes: int | None = None) -> tuple[FrameType, bytes]:
    """Read one frame. Raises EOFError if the other side closed the pipe or announces more than ``max_bytes``."""
    head = _exactly(stream, _HEAD.size)
    kind, length = _HEAD.unpack(head)
    if max_bytes is not None and length > max_bytes:
        raise EOFError
    return FrameType(kind), _exactly(stream, length)


def pack_read(part: int, start: int, length: int) -> bytes:
    """The body of a READ: the number of the part, the first byte and how many."""
    return _READ.pack(part, start, length)


def unpack_read(body: bytes) -> tuple[int, int, int]:
    """Undo `pack_read`."""
    part, start, length = _READ.unpack(body)
    return part, start, length


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise EOFError
    return data
