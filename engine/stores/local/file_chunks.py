"""Reads a file in chunks, without waiting for the disk if the kernel has them in memory."""

import os
from contextlib import AbstractContextManager, ExitStack
from typing import BinaryIO

from engine.errors import StoreError
from engine.stores.local.durable_files import raising_store_errors
from engine.stores.object_stream import ObjectStream, chunk_bytes

_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)


class FileChunks(ObjectStream):
    """Exactly ``length`` bytes from ``start``. Raises StoreError rather than end early.

    The file is opened with the first chunk, and closed after the last one or by `close`.
    """

    def __init__(self, opened: AbstractContextManager[BinaryIO], start: int, length: int) -> None:
        self._opened = opened
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self._start = self._at = start
        self._end = start + length

    def __next__(self) -> bytes:
        """The next chunk; may wait for the disk."""
        try:
            chunk = self._read()
        except BaseException:
            self.close()
            raise
        if not chunk:
            self.close()
            raise StopIteration
        return chunk

    def cached(self) -> bytes | None:
        """The next chunk if the kernel has it in memory.

        Such a read takes a tenth of the time of a hop to a thread. Also None before the first chunk, after the last
        one, and on systems without RWF_NOWAIT.
        """
        if self._file is None or self._at == self._end or _NOWAIT is None:
            return None
        buffer = bytearray(self._size)
        try:
            count = os.preadv(self._file.fileno(), [buffer], self._at, _NOWAIT)
        except OSError:
            # It is not in memory, or the file system does not support the flag.
            return None
        self._at += count
        return bytes(memoryview(buffer)[:count]) or None

    def close(self) -> None:
        """Close the file and end the stream."""
        self._at = self._end
        self._stack.close()

    def _read(self) -> bytes:
        with raising_store_errors():
            if self._file is None:
                self._file = self._stack.enter_context(self._opened)
            if self._at == self._end:
                return b""
            chunk = os.pread(self._file.fileno(), self._size, self._at)
        if not chunk:
            raise StoreError("The object ended before the requested range did.")
        self._at += len(chunk)
        return chunk

    @property
    def _size(self) -> int:
        return min(self._end - self._at, chunk_bytes(self._at - self._start))
