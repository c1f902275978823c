"""A stream of bytes that becomes one object: hashed in order, staged in blocks, committed once."""

import hashlib
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from engine.common.chunk import Chunk
from engine.stores.block_writer import BlockWriter, block_tiers
from engine.stores.port import ObjectInfo, ObjectStore, Upload

BLOCK_TIERS = block_tiers()

_CORES = os.cpu_count() or 1
ENCODING_IN_FLIGHT = 2 * _CORES
"""Blocks in flight where rows are encoded, too; each of them is in memory."""
COPYING_IN_FLIGHT = 4 * _CORES
"""Blocks in flight where nothing is encoded, which leaves memory for more of them."""


class BlockStream:
    """Takes bytes from one thread at a time. Leaving the ``with`` without a commit aborts: nothing is visible.

    An object of less than one block is a single request. At most ``max_in_flight`` blocks are being staged, fewer if
    they are large or the store gains nothing from as many.
    """

    def __init__(
        self, store: ObjectStore, key: str, *, content_type: str, max_in_flight: int = ENCODING_IN_FLIGHT
    ) -> None:
        self._store = store
        self._key = key
        self._content_type = content_type
        self._hash = hashlib.sha256()
        self._size = 0
        self._upload: Upload | None = None
        self._writer = BlockWriter(self._begin, BLOCK_TIERS, max_in_flight=max_in_flight)

    @property
    def size(self) -> int:
        """Number of bytes so far."""
        return self._size

    @property
    def sha256(self) -> str:
        """The hash of the bytes so far, in hexadecimal."""
        return self._hash.hexdigest()

    def append(self, data: Chunk) -> None:
        """Take the next bytes. Raises LimitExceeded, or the error of an earlier block that could not be staged."""
        self._hash.update(data)
        self._size += len(data)
        self._writer.append(data)

    def flush(self) -> None:
        """Wait until every block is staged. Raises what staging one raised."""
        # An object of less than one block is part of the commit.
        if self._writer.staging_begun:
            self._writer.finish()

    def commit(self, metadata: Mapping[str, str]) -> ObjectInfo:
        """Make the object visible. Raises ObjectExists if the key is taken."""
        if self._upload is None:
            data = bytes(self._writer.pending)
            return self._store.create(self._key, data, content_type=self._content_type, metadata=metadata)
        return self._upload.commit(self._writer.finish(), metadata=metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        if self._upload is not None:
            self._upload.abort()

    def _begin(self) -> Upload:
        self._upload = self._store.begin(self._key, content_type=self._content_type)
        return self._upload
