"""The bytes that one task writes: staged as blocks, and retained if the driver cannot have them from the store."""

from collections.abc import Sequence
from pickle import PickleBuffer
from types import TracebackType
from typing import Self

from engine.common.chunk import Chunk
from engine.runners.ray.messages import Block, Segment
from engine.stores.block_writer import BlockTiers, BlockWriter
from engine.stores.crc64 import crc64nvme
from engine.stores.port import Staging

_MAX_IN_FLIGHT = 4


class SegmentWriter:
    """Takes the bytes of one task from one thread. Leaving the ``with`` waits for the blocks in flight.

    ``hand_over`` if the driver needs the bytes: then they are retained, unless the store can read staged blocks.
    """

    def __init__(self, staging: Staging, tiers: BlockTiers, *, hand_over: bool) -> None:
        retain = hand_over and not staging.readable
        self._recorder = recorder = _Recorder(staging, retain=retain)
        # Blocks that are retained cannot be filled again.
        reuse_buffers = not retain
        self._writer = BlockWriter(lambda: recorder, tiers, max_in_flight=_MAX_IN_FLIGHT, reuse_buffers=reuse_buffers)

    def append(self, data: Chunk) -> None:
        """Take the next bytes; raises what `BlockWriter.append` raises."""
        self._writer.append(data)

    def finish(self, rows: int, footers: Sequence[bytes] = ()) -> Segment:
        """Stage the rest. Raises what staging a block raised."""
        ordinals = range(len(self._writer.finish()))
        blocks = tuple(self._recorder.blocks[ordinal] for ordinal in ordinals)
        content = tuple(self._recorder.content[ordinal] for ordinal in ordinals) if self._recorder.retain else ()
        return Segment(blocks, content, rows, tuple(footers))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


class _Recorder:
    """Stages blocks, and records by ordinal what the driver needs to check and to commit them."""

    def __init__(self, staging: Staging, *, retain: bool) -> None:
        self._staging = staging
        self.parallel_blocks = staging.parallel_blocks
        self.readable = staging.readable
        self.retain = retain
        self.blocks: dict[int, Block] = {}
        self.content: dict[int, PickleBuffer] = {}

    def stage(self, ordinal: int, data: bytes | memoryview) -> str:
        """Stage one block; called from several threads."""
        checksum = crc64nvme(data)
        block_id = self._staging.stage(ordinal, data)
        self.blocks[ordinal] = Block(block_id, len(data), checksum)
        if self.retain:
            self.content[ordinal] = PickleBuffer(data)
        return block_id
