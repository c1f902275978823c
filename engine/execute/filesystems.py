"""What DuckDB sees of stores: parts that it may read, targets that it may write, and no other file.

DuckDB takes file systems by fsspec's interface and calls a few of its methods: open, glob, size, modified, isfile.
"""

import io
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from fsspec import AbstractFileSystem

from engine.catalog.manifest import Part
from engine.errors import SourceDamaged, StoreError

STAGE = "stage"
PART = "part"


_PIECE_BYTES = 512 * 1024
"""DuckDB hands over up to 44 MB at once (a batch of a sort), and Python's lock is held while a piece is copied."""


class Sink(Protocol):
    """Where the bytes of targets go, by their number."""

    def write(self, ordinal: int, data: memoryview) -> None:
        """Take bytes of one target, which stay as they are."""

    def fail(self, reason: BaseException) -> None:
        """Taking them failed: DuckDB keeps only the text of an error."""


class Target(io.RawIOBase):
    """A write-only file: closing it commits nothing, so that a broken COPY leaves nothing."""

    def __init__(self, sink: Sink, ordinal: int) -> None:
        self._sink = sink
        self._ordinal = ordinal
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        try:
            for start in range(0, len(view), _PIECE_BYTES):
                self._sink.write(self._ordinal, view[start : start + _PIECE_BYTES])
        except Exception as error:  # DuckDB would keep only the text of it
            self._sink.fail(error)
            raise
        self._size += len(view)
        return len(view)

    def tell(self) -> int:
        return self._size


class StageFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """``stage://{ordinal}``: what a COPY writes there goes into the sink as that range."""

    protocol = STAGE
    cachable = False

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def open(self, path: str, mode: str = "rb", **_: object) -> Target:
        """Open a target for writing."""
        if "w" not in mode:
            raise PermissionError("targets are written only")
        return Target(self._sink, int(path.rpartition("/")[2]))

    def isfile(self, _path: str) -> bool:
        """No target is there before it is written."""
        return False


class _ReadOnlyFile(io.RawIOBase):
    """A file of which each read is one ranged read, so that nothing is held of it."""

    def __init__(self, size: int, read_range: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._read_range = read_range
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._position
        data = self._read_range(self._position, left if size < 0 else min(size, left))
        self._position += len(data)
        return data


class ReadOnlyFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """Files to read; whoever extends it says which there are, how long they are, and what is in them."""

    cachable = False

    def __init__(self, modified: datetime) -> None:
        super().__init__()
        self._modified = modified

    def open(self, path: str, mode: str = "rb", **_: object) -> _ReadOnlyFile:
        """Open a file for reading."""
        if mode != "rb":
            raise PermissionError("these files are read only")
        return _ReadOnlyFile(self.size(path), partial(self.read_range, path))

    def glob(self, path: str, **_: object) -> list[str]:
        """The file itself: names are no patterns."""
        return [path]

    def modified(self, _path: str) -> datetime:
        """The same for all, and always."""
        return self._modified

    def size(self, path: str) -> int:
        """Bytes of a file."""
        raise NotImplementedError

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """So many bytes of a file; they are there."""
        raise NotImplementedError


class Parts(Protocol):
    """Where the bytes of parts come from: of an object store, no more than this."""

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Bytes of one version, as `ObjectStore.read` gives them."""


class PartFileSystem(ReadOnlyFileSystem):
    """``part://{key}``: the parts of one run in a store that has no local paths."""

    protocol = PART

    def __init__(self, store: Parts, parts: Mapping[str, Part], modified: datetime) -> None:
        super().__init__(modified)
        self._store = store
        self._parts = parts
        self.failure: StoreError | None = None
        """Why a read failed: DuckDB keeps only the text of an error."""

    def size(self, path: str) -> int:
        """Bytes, as published."""
        return self._part(path).bytes

    def isfile(self, path: str) -> bool:
        """Whether the run has that part."""
        return path.partition("://")[2] in self._parts

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Bytes of the published version of a part, which the run's manifest names."""
        part = self._part(path)
        try:
            return self._store.read(part.key, start=start, length=length, etag=part.etag)
        except StoreError as error:
            self.failure = error
            raise

    def _part(self, path: str) -> Part:
        part = self._parts.get(path.partition("://")[2])
        if part is None:
            raise SourceDamaged("The run has no such part.")
        return part
