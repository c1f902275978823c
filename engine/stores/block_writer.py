"""Cuts a stream of bytes into the blocks of an object and stages them in parallel."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from engine.common.chunk import Chunk
from engine.errors import LimitExceeded
from engine.stores.in_flight import InFlightUploads
from engine.stores.port import Staging
from engine.stores.validation import MAX_BLOCKS

MIB = 1024 * 1024
BLOCK_SIZES = tuple(size * MIB for size in (8, 16, 64, 256, 1024))
"""Small blocks first, so that memory stays small for all but the largest objects."""
MAX_BLOCK_BYTES = 4000 * MIB
"""Azure's limit for one block (Put Block)."""

BlockTiers = Sequence[tuple[int, int]]
"""How many blocks of which size in bytes, in the order in which a writer fills them."""

_DRIVER_BLOCKS = 2
"""Blocks that the driver of a cluster adds to those of its tasks: a rewritten first block, and the end of the file."""

OBJECT_TOO_LARGE = "The file exceeds the maximum size of one object: narrow the export by filters."


def block_tiers(blocks: int = MAX_BLOCKS) -> BlockTiers:
    """The schedule of a writer that may use that many blocks: every size equally often.

    50,000 blocks hold 13.0 TiB.
    """
    ends = (-(-blocks * tier // len(BLOCK_SIZES)) for tier in range(len(BLOCK_SIZES) + 1))
    return tuple((end - start, size) for (start, end), size in zip(pairwise(ends), BLOCK_SIZES, strict=True))


def shared_block_tiers(writers: int) -> BlockTiers:
    """The schedule of each of several writers that share the blocks of one object.

    Many writers have few blocks each, so the last block takes what is left, up to `MAX_BLOCK_BYTES`.
    """
    blocks = (MAX_BLOCKS - _DRIVER_BLOCKS) // writers
    ends = [min(-(-blocks * tier // len(BLOCK_SIZES)), blocks - 1) for tier in range(len(BLOCK_SIZES) + 1)]
    counts = (end - start for start, end in pairwise(ends))
    return (*zip(counts, BLOCK_SIZES, strict=True), (1, MAX_BLOCK_BYTES))


def block_bytes(ordinal: int, tiers: BlockTiers) -> int:
    """The size of the block at ``ordinal``. Raises LimitExceeded beyond the last block."""
    for count, size in tiers:
        if ordinal < count:
            return size
        ordinal -= count
    raise LimitExceeded(OBJECT_TOO_LARGE)


class BlockWriter:
    """Fills one block while up to ``max_in_flight`` others are being staged, fewer if they are large.

    ``begin`` is called once, for the first block to be staged. ``reuse_buffers`` must be False if whoever stages a
    block uses its memory after `Staging.stage` has returned. Use it from one thread at a time, and close it.
    """

    def __init__(
        self, begin: Callable[[], Staging], tiers: BlockTiers, *, max_in_flight: int, reuse_buffers: bool = True
    ) -> None:
        self._begin = begin
        self._tiers = tiers
        self._max_in_flight = max_in_flight
        self._reuse_buffers = reuse_buffers
        self._block = bytearray()
        self._size = 0
        self._filled = 0
        self._free: list[bytearray] = []
        self._staging: Staging | None = None
        self._uploads: InFlightUploads | None = None

    @property
    def staging_begun(self) -> bool:
        """Whether a block was staged, or is being staged."""
        return self._uploads is not None

    @property
    def pending(self) -> memoryview:
        """The bytes of the block that is being filled."""
        return memoryview(self._block)[: self._filled]

    def append(self, data: Chunk) -> None:
        """Take the next bytes; waits where the store is slower than they come.

        Raises LimitExceeded if they exceed the blocks of the schedule, or the error of an earlier block that could not
        be staged.
        """
        rest = memoryview(data)
        while rest:
            if not self._filled:
                self._size = block_bytes(self._ordinal, self._tiers)
                self._block = self._next_buffer()
            fitting = rest[: self._size - self._filled]
            if self._filled < len(self._block):
                self._block[self._filled : self._filled + len(fitting)] = fitting
            else:
                self._block += fitting
            self._filled += len(fitting)
            rest = rest[len(fitting) :]
            if self._filled == self._size:
                self._stage_block()

    def finish(self) -> list[str]:
        """Stage the rest, wait for all blocks, and return their ids in order. Raises what staging a block raised."""
        if self._filled:
            self._stage_block()
        return [] if self._uploads is None else self._uploads.ids()

    def close(self) -> None:
        """Wait for the blocks in flight, and let go of the buffers."""
        if self._uploads is not None:
            self._uploads.close()
        self._block, self._filled = bytearray(), 0
        self._free.clear()

    @property
    def _ordinal(self) -> int:
        return 0 if self._uploads is None else len(self._uploads)

    def _next_buffer(self) -> bytearray:
        """A full buffer of a staged block, whose pages need not be zeroed again, or an empty one that grows."""
        while self._free:
            block = self._free.pop()
            if len(block) == self._size:
                return block
        return bytearray()

    def _stage_block(self) -> None:
        if self._staging is None or self._uploads is None:
            self._staging = self._begin()
            self._uploads = InFlightUploads(min(self._max_in_flight, self._staging.parallel_blocks))
        block, filled, self._filled = self._block, self._filled, 0
        self._uploads.submit(partial(self._stage, self._staging, self._ordinal, block, filled), filled)

    def _stage(self, staging: Staging, ordinal: int, block: bytearray, filled: int) -> str:
        block_id = staging.stage(ordinal, memoryview(block)[:filled])
        if self._reuse_buffers:
            self._free.append(block)
        return block_id
