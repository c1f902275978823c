"""The bytes of one task on their way: cut into blocks, staged beside the encoding, and kept if the hash needs them."""

from collections.abc import Sequence
from functools import partial
from pickle import PickleBuffer
from types import TracebackType
from typing import Self

from xxhash import xxh3_64_intdigest

from engine.common.chunk import Chunk
from engine.errors import LimitExceeded
from engine.runners.ray.messages import Block, Piece
from engine.stores.block_stream import BEYOND_ONE_OBJECT
from engine.stores.in_flight import UnderWay
from engine.stores.port import Staging
from engine.stores.validation import MAX_BLOCKS

MIB = 1024 * 1024
_FIRST_BYTES = 8 * MIB
_LARGEST_BYTES = 4000 * MIB
"""The service's limit of a block."""
_DRIVER_BLOCKS = 2
"""Blocks that the driver adds: one whose beginning it had to change, and the end of the file."""
_AT_ONCE = 4
_MOST_BLOCKS = 1024
"""Of one task: 180 GB."""


def block_sizes(tasks: int) -> tuple[int, ...]:
    """The sizes of a task's blocks, if that many tasks share the blocks of one object.

    They grow, from 8 MiB by four in four steps, so that few tasks have small blocks, and many have room for large ones.
    """
    count = min(_MOST_BLOCKS, (MAX_BLOCKS - _DRIVER_BLOCKS) // tasks)
    return (*(_FIRST_BYTES * 4 ** (4 * n // count) for n in range(count - 1)), _LARGEST_BYTES)


class PieceStream:
    """Takes the bytes of one task from one thread, and waits where the store is slower than they come.

    Leaving the ``with`` waits for what is under way.
    """

    def __init__(self, staging: Staging, sizes: Sequence[int]) -> None:
        self._staging = staging
        self._sizes = sizes
        self._block = bytearray()
        self._kept: list[bytearray] = []
        self._made: list[tuple[int, int]] = []
        """The length and the hash of each block."""
        self._under_way = UnderWay(min(_AT_ONCE, staging.parallel_blocks))

    def append(self, data: Chunk) -> None:
        """Take the next bytes. Raises LimitExceeded if they are more than the task's blocks hold.

        Raises what staging an earlier block raised, too.
        """
        self._block += data
        if len(self._made) == len(self._sizes):
            raise LimitExceeded(BEYOND_ONE_OBJECT)
        if len(self._block) >= self._sizes[len(self._made)]:
            self._stage()

    def finish(self, rows: int, footers: Sequence[bytes] = ()) -> Piece:
        """All bytes are there: stage the rest. Raises what staging raised."""
        if self._block:
            self._stage()
        blocks = tuple(Block(id_, *made) for id_, made in zip(self._under_way.ids(), self._made, strict=True))
        return Piece(blocks, tuple(map(PickleBuffer, self._kept)), rows, tuple(footers))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._under_way.close()

    def _stage(self) -> None:
        block, self._block = self._block, bytearray()
        self._made.append((len(block), xxh3_64_intdigest(block)))
        ordinal = len(self._under_way)
        self._under_way.begin(partial(self._staging.stage, ordinal, memoryview(block)), len(block))
        if not self._staging.readable:
            self._kept.append(block)
