"""What DuckDB sees of stores: parts that it may read, targets that it may write, and no other file.

DuckDB takes file systems by fsspec's interface and calls a few of its methods: open, glob, size, modified, isfile.
"""

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from fsspec import AbstractFileSystem

from engine.errors import SourceDamaged, StoreError
from engine.runs import Part

STAGE = "stage"
PART = "part"
SLICE = "slice"


class Sink(Protocol):
    """Where the bytes of targets go, by their number."""

    def write(self, ordinal: int, data: bytes) -> None:
        """Take bytes of one target."""

    def stop(self, reason: BaseException) -> None:
        """Taking them failed: DuckDB keeps only the text of an error."""


class _Target(io.RawIOBase):
    """A write-only file: closing it commits nothing, so that a broken COPY leaves nothing."""

    def __init__(self, sink: Sink, ordinal: int) -> None:
        self._sink = sink
        self._ordinal = ordinal
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            self._sink.write(self._ordinal, data)
        except Exception as error:  # DuckDB would keep only the text of it
            self._sink.stop(error)
            raise
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size


class StageFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """``stage://{ordinal}``: what a COPY writes there goes into the sink as that range."""

    protocol = STAGE
    cachable = False

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def open(self, path: str, mode: str = "rb", **_: object) -> _Target:
        """Open a target for writing."""
        if "w" not in mode:
            raise PermissionError("targets are written only")
        return _Target(self._sink, _number(path))

    def isfile(self, _path: str) -> bool:
        """No target is there before it is written."""
        return False


class _Source(io.RawIOBase):
    """A read-only part, each read one ranged read of the version that the run's manifest names."""

    def __init__(self, owner: "PartFileSystem", part: Part) -> None:
        self._owner = owner
        self._part = part
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._part.bytes}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = self._part.bytes - self._position
        length = left if size < 0 else min(size, left)
        data = self._owner.read_part(self._part, self._position, length)
        self._position += len(data)
        return data


class SliceFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """``slice://{number}``: Parquet files in memory."""

    protocol = SLICE
    cachable = False

    def __init__(self, slices: Sequence[bytes | memoryview], modified: datetime) -> None:
        super().__init__()
        self._slices = slices
        self._modified = modified

    def open(self, path: str, mode: str = "rb", **_: object) -> "_Slice":
        """Open a file for reading."""
        if mode != "rb":
            raise PermissionError("slices are read only")
        return _Slice(memoryview(self._slices[_number(path)]))

    def glob(self, path: str, **_: object) -> list[str]:
        """The file itself."""
        return [path]

    def size(self, path: str) -> int:
        """Bytes."""
        return len(self._slices[_number(path)])

    def modified(self, _path: str) -> datetime:
        """Any time, as long as it is the same."""
        return self._modified

    def isfile(self, path: str) -> bool:
        """Whether there are so many."""
        return _number(path) < len(self._slices)


class _Slice(io.RawIOBase):
    """A read-only view of bytes that lie elsewhere."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._data)}[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._position + size
        data = bytes(self._data[self._position : end])
        self._position += len(data)
        return data


class Parts(Protocol):
    """Where the bytes of parts come from: of an object store, no more than this."""

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Bytes of one version, as `ObjectStore.read` gives them."""


class PartFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """``part://{key}``: the parts of one run in a store that has no local paths."""

    protocol = PART
    cachable = False

    def __init__(self, store: Parts, parts: Mapping[str, Part], modified: datetime) -> None:
        super().__init__()
        self._store = store
        self._parts = parts
        self._modified = modified
        self.failure: StoreError | None = None
        """Why a read failed: DuckDB keeps only the text of an error."""

    def open(self, path: str, mode: str = "rb", **_: object) -> _Source:
        """Open a part for reading."""
        if mode != "rb":
            raise PermissionError("parts are read only")
        return _Source(self, self._part(path))

    def glob(self, path: str, **_: object) -> list[str]:
        """The part itself: names of parts are no patterns."""
        return [path]

    def size(self, path: str) -> int:
        """Bytes, as published."""
        return self._part(path).bytes

    def modified(self, _path: str) -> datetime:
        """When the run was published."""
        return self._modified

    def isfile(self, path: str) -> bool:
        """Whether the run has that part."""
        return path.partition("://")[2] in self._parts

    def read_part(self, part: Part, start: int, length: int) -> bytes:
        """Bytes of the published version of a part."""
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


def _number(path: str) -> int:
    return int(path.rpartition("/")[2])
