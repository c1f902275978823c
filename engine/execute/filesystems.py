"""File systems through which DuckDB reads the parts of a run and writes the ranges of an export.

DuckDB accepts fsspec file systems, and calls a few of their methods: open, glob, size, modified, isfile, and isdir,
which fsspec would answer by listing the folder.
"""

import io
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from fsspec import AbstractFileSystem

from engine.catalog.manifest import Part
from engine.errors import SourceDamaged, StoreError

STAGE = "stage"
PART = "part"

_WRITE_BYTES = 512 * 1024
"""DuckDB writes up to 44 MB at once (a batch of a sort); the interpreter lock is held while bytes are copied."""


class Sink(Protocol):
    """Receives the bytes of output files by their number."""

    def write(self, ordinal: int, data: memoryview) -> None:
        """Take bytes of one file; they are not changed afterwards."""

    def fail(self, reason: BaseException) -> None:
        """Record why a write failed: DuckDB reports only the text of an error."""


class RangeOutputFile(io.RawIOBase):
    """A write-only file. Closing it does not end the range, so a failed COPY leaves nothing."""

    def __init__(self, sink: Sink, ordinal: int) -> None:
        self._sink = sink
        self._ordinal = ordinal
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        try:
            for start in range(0, len(view), _WRITE_BYTES):
                self._sink.write(self._ordinal, view[start : start + _WRITE_BYTES])
        except Exception as error:
            self._sink.fail(error)
            raise
        self._size += len(view)
        return len(view)

    def tell(self) -> int:
        return self._size


class StageFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """``stage://{ordinal}``: a COPY to it writes that range into the sink."""

    protocol = STAGE
    cachable = False

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def open(self, path: str, mode: str = "rb", **_: object) -> RangeOutputFile:
        """Open the file of a range for writing."""
        if "w" not in mode:
            raise PermissionError("the file of a range is write-only")
        return RangeOutputFile(self._sink, int(path.rpartition("/")[2]))

    def isfile(self, _path: str) -> bool:
        """False: the file of a range does not exist before it is written."""
        return False

    def isdir(self, _path: str) -> bool:
        """False: a range is written to a file."""
        return False


class _ReadOnlyFile(io.RawIOBase):
    """A file in which every read is one ranged read; nothing is buffered."""

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
        remaining = self._size - self._position
        data = self._read_range(self._position, remaining if size < 0 else min(size, remaining))
        self._position += len(data)
        return data


class ReadOnlyFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """Read-only files; subclasses define their names, sizes and content."""

    cachable = False

    def __init__(self, modified: datetime) -> None:
        super().__init__()
        self._modified = modified

    def open(self, path: str, mode: str = "rb", **_: object) -> _ReadOnlyFile:
        """Open a file for reading."""
        if mode != "rb":
            raise PermissionError("the file is read-only")
        return _ReadOnlyFile(self.size(path), partial(self.read_range, path))

    def glob(self, path: str, **_: object) -> list[str]:
        """The path itself: names are not patterns."""
        return [path]

    def isdir(self, _path: str) -> bool:
        """False: there are only files."""
        return False

    def modified(self, _path: str) -> datetime:
        """When the run was published."""
        return self._modified

    def size(self, path: str) -> int:
        """Size of a file in bytes."""
        raise NotImplementedError

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Exactly ``length`` bytes of a file, within its size."""
        raise NotImplementedError


class PartReader(Protocol):
    """Reads the bytes of parts: the one method of an object store that is needed."""

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Read bytes of one version, like `ObjectStore.read`."""


class PartFileSystem(ReadOnlyFileSystem):
    """``part://{key}``: the parts of one run, read through the store.

    Parts whose keys are in ``at_once`` are read entirely by the first read of them, and stay in memory.
    """

    protocol = PART

    def __init__(
        self, store: PartReader, parts: Mapping[str, Part], modified: datetime, at_once: Collection[str] = ()
    ) -> None:
        super().__init__(modified)
        self._store = store
        self._parts = parts
        self._at_once = at_once
        self._contents: dict[str, bytes] = {}
        self.failure: StoreError | None = None
        """Why a read failed: DuckDB reports only the text of an error."""

    def size(self, path: str) -> int:
        """Size in bytes, according to the manifest."""
        return self._part(path).bytes

    def isfile(self, path: str) -> bool:
        """Whether the part is in the run."""
        return path.partition("://")[2] in self._parts

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Read bytes of the published version of a part."""
        part = self._part(path)
        if part.key not in self._at_once:
            return self._read(part, start, length)
        if part.key not in self._contents:
            self._contents[part.key] = self._read(part, 0, part.bytes)
        return self._contents[part.key][start : start + length]

    def _read(self, part: Part, start: int, length: int) -> bytes:
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
