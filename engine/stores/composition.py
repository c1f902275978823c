"""An object that a store makes of bytes that it has already."""

from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Self

from engine.stores.block_writer import MIB
from engine.stores.in_flight import InFlightUploads
from engine.stores.port import CopySource, ObjectInfo, ObjectStore
from engine.stores.validation import MAX_BLOCKS

MAX_COPY_BYTES = 64 * MIB
"""Of one block, so that a request ends within its timeout."""
_FEWEST_BYTES = 8 * MIB
"""Of an object; a smaller one is a single request."""
_OTHER_BLOCKS = 2
"""Those before and after the copies."""
_FEWEST_BLOCK_BYTES = MIB
"""Of a block on average: a request takes as much processor time as reading, hashing and sending that many bytes."""


def is_worthwhile(size: int, copies: int) -> bool:
    """Whether to have an object of that many bytes made of that many copies of at most `MAX_COPY_BYTES`."""
    return _FEWEST_BYTES <= size >= copies * _FEWEST_BLOCK_BYTES and copies <= MAX_BLOCKS - _OTHER_BLOCKS


class Composition:
    """Consists of ranges of other objects, which the store copies, and of a few bytes of ours, in the order of calls.

    Use it from one thread at a time. Leaving the ``with`` without a commit aborts: nothing is visible.
    """

    def __init__(self, store: ObjectStore, key: str, *, content_type: str) -> None:
        self._upload = store.begin(key, content_type=content_type)
        self._blocks = InFlightUploads(self._upload.parallel_blocks)

    def append(self, data: bytes) -> None:
        """Add bytes as one block. Raises the error of an earlier block."""
        self._blocks.submit(partial(self._upload.stage, len(self._blocks), data), len(data))

    def copy(self, source: CopySource, start: int, length: int, md5: bytes) -> None:
        """Add bytes of a source as one block. Raises the error of an earlier block."""
        stage = partial(self._upload.stage_copy, len(self._blocks), source, start=start, length=length, md5=md5)
        # They are not in memory here, so their number does not count.
        self._blocks.submit(stage, 1)

    def flush(self) -> None:
        """Wait until every block is there. Raises what `Upload.stage` or `Upload.stage_copy` raised."""
        self._blocks.ids()

    def commit(self, metadata: Mapping[str, str]) -> ObjectInfo:
        """Make the object visible. Raises ObjectExists if the key is taken."""
        return self._upload.commit(self._blocks.ids(), metadata=metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blocks.close()
        self._upload.abort()
