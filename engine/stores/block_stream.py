"""A stream of bytes that becomes one object: hashed in order, cut into blocks, staged side by side, committed once."""

import hashlib
import os
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Self

from engine.common.chunk import Chunk
from engine.errors import LimitExceeded
from engine.stores.in_flight import UnderWay
from engine.stores.port import ObjectInfo, ObjectStore, Upload

MIB = 1024 * 1024
BLOCK_TIERS = tuple((10_000, size * MIB) for size in (8, 16, 64, 256, 1024))
"""How many blocks of which size: small ones first, so that memory stays small for all but the largest objects.

Together 13.0 TiB in 50,000 blocks.
"""
_FIRST_BYTES = 64 * 1024
"""Of the first block, which may be all of a small object: it grows as it is filled."""

_CORES = os.cpu_count() or 1
ENCODED_AT_ONCE = 2 * _CORES
"""How many blocks may be under way beside encoding, each of them in memory."""
COPIED_AT_ONCE = 4 * _CORES
"""How many where nothing is encoded, which leaves memory for more of them."""

BEYOND_ONE_OBJECT = "The file is larger than one object may be: narrow the export by filters."


def block_bytes(ordinal: int) -> int:
    """The size of the block of that ordinal. Raises LimitExceeded beyond the last."""
    for count, size in BLOCK_TIERS:
        if ordinal < count:
            return size
        ordinal -= count
    raise LimitExceeded(BEYOND_ONE_OBJECT)


class BlockStream:
    """Takes bytes from one thread at a time. Leaving the ``with`` without a commit aborts: nothing is visible.

    At most ``at_once`` blocks are under way, or fewer if they are large (`UnderWay`) or the store gains nothing from as
    many; one is being filled.
    """

    def __init__(self, store: ObjectStore, key: str, *, content_type: str, at_once: int = ENCODED_AT_ONCE) -> None:
        self._store = store
        self._key = key
        self._content_type = content_type
        self._at_once = at_once
        self._hash = hashlib.sha256()
        self._size = 0
        self._block = bytearray()
        self._filled = 0
        self._free: list[bytearray] = []
        self._upload: Upload | None = None
        self._under_way: UnderWay | None = None

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._size

    @property
    def sha256(self) -> str:
        """The hash of the bytes taken so far, in hexadecimal."""
        return self._hash.hexdigest()

    def append(self, data: Chunk) -> None:
        """Take the next bytes. Raises what staging an earlier block raised."""
        self._hash.update(data)
        self._size += len(data)
        rest = memoryview(data)
        while rest:
            if not self._filled:
                self._block = self._next_block()
            taken = rest[: len(self._block) - self._filled]
            self._block[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rest = rest[len(taken) :]
            if self._filled == len(self._block):
                missing = block_bytes(self._ordinal) - self._filled
                if missing:
                    self._block.extend(bytes(min(missing, self._filled)))
                else:
                    self._stage_filled()

    def flush(self) -> None:
        """Wait until every block has arrived. Raises what staging one raised."""
        # One block alone is part of the commit.
        if self._under_way is not None:
            if self._filled:
                self._stage_filled()
            self._under_way.ids()

    def commit(self, metadata: Mapping[str, str]) -> ObjectInfo:
        """Make the object visible. Raises ObjectExists if it is there already."""
        if self._upload is None or self._under_way is None:
            data = bytes(memoryview(self._block)[: self._filled])
            return self._store.create(self._key, data, content_type=self._content_type, metadata=metadata)
        self.flush()
        return self._upload.commit(self._under_way.ids(), metadata=metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._under_way is not None:
            self._under_way.close()
        if self._upload is not None:
            self._upload.abort()

    @property
    def _ordinal(self) -> int:
        return 0 if self._under_way is None else len(self._under_way)

    def _next_block(self) -> bytearray:
        """One that was staged already: the system would fill each page of a new one with zeros first."""
        size = block_bytes(self._ordinal)
        while self._free:
            block = self._free.pop()
            if len(block) == size:
                return block
        return bytearray(size if self._ordinal else min(size, _FIRST_BYTES))

    def _stage_filled(self) -> None:
        if self._upload is None or self._under_way is None:
            # One block is one request: an upload begins with the second.
            self._upload = self._store.begin(self._key, content_type=self._content_type)
            self._under_way = UnderWay(min(self._at_once, self._upload.parallel_blocks))
        block, filled, self._filled = self._block, self._filled, 0
        self._under_way.begin(partial(self._stage, self._upload, self._ordinal, block, filled), len(block))

    def _stage(self, upload: Upload, ordinal: int, block: bytearray, filled: int) -> str:
        block_id = upload.stage(ordinal, memoryview(block)[:filled])
        self._free.append(block)
        return block_id
