"""The bytes of one task on their way: cut into blocks, staged beside the encoding, and kept if the hash needs them."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pickle import PickleBuffer
from types import TracebackType
from typing import Self

from engine.errors import LimitExceeded
from engine.framing import Chunk
from engine.runners.job import Piece
from engine.stores.names import MAX_BLOCKS
from engine.stores.port import Staging

MIB = 1024 * 1024
_FIRST_BYTES = 8 * MIB
_LARGEST_BYTES = 4000 * MIB
"""The service's limit of a block."""
_DRIVER_BLOCKS = 2
"""Blocks that the driver adds: one whose beginning it had to change, and the end of the file."""
_AT_ONCE = 4


def block_sizes(tasks: int) -> tuple[int, ...]:
    """The sizes of a task's blocks, if that many tasks share the blocks of one object.

    They grow, from 8 MiB by four in four steps, so that few tasks have small blocks, and many have room for large ones.
    """
    count = min(64, (MAX_BLOCKS - _DRIVER_BLOCKS) // tasks)
    return (*(_FIRST_BYTES * 4 ** (4 * n // count) for n in range(count - 1)), _LARGEST_BYTES)


class PieceStream:
    """Takes the bytes of one task from one thread. Leaving the ``with`` waits for what is under way."""

    def __init__(self, staging: Staging, sizes: Sequence[int]) -> None:
        self._staging = staging
        self._sizes = sizes
        self._pieces: list[Chunk] = []
        self._pending = 0
        self._kept: list[bytes] = []
        self._lengths: list[int] = []
        self._ids: list[Future[str]] = []
        self._pool = ThreadPoolExecutor(min(_AT_ONCE, staging.parallel_blocks), thread_name_prefix="stage")

    def append(self, data: Chunk) -> None:
        """Take the next bytes. Raises LimitExceeded if they are more than the task's blocks hold."""
        self._pieces.append(data)
        self._pending += len(data)
        if len(self._lengths) == len(self._sizes):
            raise LimitExceeded("The file is larger than one object may be: narrow the export by filters.")
        if self._pending >= self._sizes[len(self._lengths)]:
            self._stage()

    def finish(self, rows: int, footers: Sequence[bytes] = ()) -> Piece:
        """All bytes are there: stage the rest. Raises what staging raised."""
        if self._pending:
            self._stage()
        ids = [future.result() for future in self._ids]
        content = tuple(map(PickleBuffer, self._kept))
        return Piece(tuple(zip(ids, self._lengths, strict=True)), content, rows, tuple(footers))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _stage(self) -> None:
        block = b"".join(self._pieces)
        self._pieces, self._pending = [], 0
        self._ids.append(self._pool.submit(self._staging.stage, len(self._ids), block))
        self._lengths.append(len(block))
        if not self._staging.readable:
            self._kept.append(block)
