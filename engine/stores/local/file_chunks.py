"""The bytes of a file in chunks, and a way to take those that the kernel has in memory without waiting for a disk."""

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, BinaryIO

from engine.errors import StoreError
from engine.stores.local.durable_files import raising_store_errors

CHUNK_BYTES = 64 * 1024
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)


class FileChunks(Generator[bytes, None, None]):
    """Exactly ``length`` bytes from ``start``. Raises StoreError rather than ends short.

    The file is opened with the first chunk, and stays open until the last one or `close`.
    """

    def __init__(self, opened: AbstractContextManager[BinaryIO], start: int, length: int) -> None:
        self._opened = opened
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self._at = start
        self._end = start + length

    def send(self, _: None) -> bytes:
        """The next chunk; it may wait for the disk."""
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
        """The next chunk if it can be read without waiting, which takes a tenth of a hop to a thread; else None.

        None also before the first chunk and after the last one, and where the system does not say.
        """
        if self._file is None or self._at == self._end or _NOWAIT is None:
            return None
        buffer = bytearray(self._size)
        try:
            count = os.preadv(self._file.fileno(), [buffer], self._at, _NOWAIT)
        except OSError:
            # Not in memory, or not a file system that can tell.
            return None
        self._at += count
        return bytes(memoryview(buffer)[:count]) or None

    def throw(self, kind: Any, error: Any = None, trace: Any = None, /) -> bytes:
        """Close the file and raise the error."""
        self._release()
        return super().throw(kind, error, trace)

    def close(self) -> None:
        """Close the file; there are no more chunks."""
        self._release()

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

    def _release(self) -> None:
        self._at = self._end
        self._stack.close()

    @property
    def _size(self) -> int:
        return min(self._end - self._at, CHUNK_BYTES)
