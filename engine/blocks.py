"""A stream of bytes that becomes one object: hashed in order, cut into blocks, staged side by side, committed once."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from engine.errors import LimitExceeded
from engine.framing import Chunk
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
UNDER_WAY_BYTES = 512 * MIB
"""And how many bytes of them, however large they are by then; one of any size may be."""

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

    At most ``at_once`` blocks and `UNDER_WAY_BYTES` are under way, or fewer if the store gains nothing from as many;
    one is being filled.
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
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: set[Future[str]] = set()
        self._staged: list[Future[str]] = []

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
                missing = block_bytes(len(self._staged)) - self._filled
                if missing:
                    self._block.extend(bytes(min(missing, self._filled)))
                else:
                    self._stage_filled()

    def flush(self) -> None:
        """Wait until every block has arrived. Raises what staging one raised."""
        # One block alone is part of the commit.
        if self._upload is not None and self._filled:
            self._stage_filled()
        for future in self._staged:
            future.result()

    def commit(self, metadata: Mapping[str, str]) -> ObjectInfo:
        """Make the object visible. Raises ObjectExists if it is there already."""
        if self._upload is None:
            data = bytes(memoryview(self._block)[: self._filled])
            return self._store.create(self._key, data, content_type=self._content_type, metadata=metadata)
        self.flush()
        return self._upload.commit([future.result() for future in self._staged], metadata=metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._upload is not None:
            self._upload.abort()

    def _next_block(self) -> bytearray:
        """One that was staged already: the system would fill each page of a new one with zeros first."""
        size = block_bytes(len(self._staged))
        while self._free:
            block = self._free.pop()
            if len(block) == size:
                return block
        return bytearray(size if self._staged else min(size, _FIRST_BYTES))

    def _stage_filled(self) -> None:
        if self._upload is None or self._pool is None:
            # One block is one request: an upload begins with the second.
            self._upload = self._store.begin(self._key, content_type=self._content_type)
            self._at_once = min(self._at_once, self._upload.parallel_blocks)
            self._pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="stage")
        block, filled, self._filled = self._block, self._filled, 0
        self._wait_for_room(min(self._at_once, UNDER_WAY_BYTES // len(block)) or 1)
        future = self._pool.submit(self._stage, self._upload, len(self._staged), block, filled)
        self._under_way.add(future)
        self._staged.append(future)

    def _stage(self, upload: Upload, ordinal: int, block: bytearray, filled: int) -> str:
        block_id = upload.stage(ordinal, memoryview(block)[:filled])
        self._free.append(block)
        return block_id

    def _wait_for_room(self, most: int) -> None:
        """Until fewer than ``most`` are under way. Raises what staging one of them raised."""
        done = {future for future in self._under_way if future.done()}
        while True:
            self._under_way -= done
            for future in done:
                future.result()
            if len(self._under_way) < most:
                return
            done = wait(self._under_way, return_when=FIRST_COMPLETED).done
