"""The bytes of an object as a stream of chunks, for one reader that may be slow."""

from collections.abc import Iterator
from typing import Protocol

MAX_CHUNK_BYTES = 128 * 1024
_FIRST_CHUNK_BYTES = 64 * 1024
_FIRST_BYTES = 2 * 1024 * 1024


def chunk_bytes(passed: int) -> int:
    """The size of the next chunk of a stream that has passed that many bytes.

    Each chunk costs about 0.1 ms of processor time, and the memory of a client that stops reading is that of one chunk.
    So chunks are small until the client has read more than the kernel buffers.
    """
    return _FIRST_CHUNK_BYTES if passed < _FIRST_BYTES else MAX_CHUNK_BYTES


class ObjectStream(Iterator[bytes], Protocol):
    """The bytes of one version of an object, in chunks of `chunk_bytes`. Not for several threads at a time."""

    def cached(self) -> bytes | None:
        """The next chunk if it can be had without waiting, else None: then only ``next`` has it."""
        return None

    def suspend(self) -> None:
        """Release what is needed only to read the next chunk, which then acquires it again. Never waits."""
        return

    def close(self) -> None:
        """Release everything and end. May be called twice."""
