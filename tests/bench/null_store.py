"""An object store that forgets what it is given, so that an export costs its encoding and nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from engine.errors import ObjectMissing, StoreError
from engine.stores.object_stream import ObjectStream
from engine.stores.port import CopySource, ObjectInfo, ReadUrls, Staging, Upload

_GONE = "Nothing is kept here."


class NullUpload:
    """Blocks that are counted, and dropped."""

    parallel_blocks = 1
    readable = False
    handle = ""

    def __init__(self, key: str, content_type: str) -> None:
        self._key = key
        self._content_type = content_type
        self._size = 0
        self._mutex = Lock()

    def stage(self, ordinal: int, data: bytes | memoryview) -> str:
        """Count the bytes of a block."""
        with self._mutex:
            self._size += len(data)
        return str(ordinal)

    def stage_copy(self, ordinal: int, source: CopySource, *, start: int, length: int, md5: bytes) -> str:
        """Raise StoreError: nothing is kept."""
        raise StoreError(_GONE)

    def block(self, block_id: str, length: int) -> memoryview:
        """Raise StoreError: nothing is kept."""
        raise StoreError(_GONE)

    def adopt(self, block_id: str, length: int) -> None:
        """Count the bytes of a block."""
        with self._mutex:
            self._size += length

    def commit(self, block_ids: Sequence[str], *, metadata: Mapping[str, str]) -> ObjectInfo:
        """Tell of an object as long as its blocks."""
        return ObjectInfo(self._key, self._size, "0", datetime.now(UTC), self._content_type, dict(metadata))

    def abort(self) -> None:
        """There is nothing to drop."""


class NullStore:
    """The port with nothing behind it."""

    def head(self, key: str) -> ObjectInfo | None:
        """None, always."""
        return None

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Raise ObjectMissing."""
        raise ObjectMissing(_GONE)

    def stream(self, key: str, *, start: int, length: int, etag: str) -> ObjectStream:
        """Raise ObjectMissing."""
        raise ObjectMissing(_GONE)

    def create(self, key: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> ObjectInfo:
        """Tell of an object as long as the data."""
        return ObjectInfo(key, len(data), "0", datetime.now(UTC), content_type, dict(metadata))

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """Raise ObjectMissing."""
        raise ObjectMissing(_GONE)

    def begin(self, key: str, *, content_type: str) -> Upload:
        """Start an upload into nothing."""
        return NullUpload(key, content_type)

    def join(self, key: str, handle: str) -> Staging:
        """Another upload that drops its blocks."""
        return NullUpload(key, "")

    def delete(self, key: str, *, etag: str | None = None) -> bool:
        """False: there was none."""
        return False

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Nothing."""
        return iter(())

    def local_path(self, key: str) -> Path | None:
        """None: there are no files."""
        return None

    def read_urls(self) -> ReadUrls | None:
        """None: nothing can be read."""
        return None

    def copy_source(self, key: str, *, etag: str) -> CopySource | None:
        """None: nothing is kept."""
        return None

    def can_copy(self, source: CopySource) -> bool:
        """False, so that the bytes come here."""
        return False

    def remove_leftovers(self, before: datetime, *, dry_run: bool = False) -> tuple[int, int]:
        """None: nothing is kept."""
        return 0, 0

    def check(self) -> datetime:
        """It is always there, and has this machine's clock."""
        return datetime.now(UTC)
