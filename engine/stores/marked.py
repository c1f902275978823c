"""A store that is available only while it has its marker."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from engine.stores.object_stream import ObjectStream
from engine.stores.port import CopySource, ObjectInfo, ObjectStore, ReadUrls, Staging, Upload

CHECK_INTERVAL_SECONDS = 2.0
"""How long reads rely on a successful check. After a failed check, the next call checks again."""


class MarkedStore:
    """A store whose methods check its marker first, and raise StoreUnavailable if the check fails.

    The check precedes every other call if the last successful one is older than `CHECK_INTERVAL_SECONDS`. With
    ``each_write`` it precedes every write, so that nothing is written into the mount point of a volume that is not
    mounted.
    """

    def __init__(self, store: ObjectStore, require_marker: Callable[[], None], *, each_write: bool = True) -> None:
        self._unchecked = store
        self._require_marker = require_marker
        self._each_write = each_write
        self._checked_at = float("-inf")

    def head(self, key: str) -> ObjectInfo | None:
        """See the port."""
        return self._store.head(key)

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """See the port."""
        return self._store.read(key, start=start, length=length, etag=etag)

    def stream(self, key: str, *, start: int, length: int, etag: str) -> ObjectStream:
        """See the port."""
        return self._store.stream(key, start=start, length=length, etag=etag)

    def create(self, key: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> ObjectInfo:
        """See the port."""
        return self._written.create(key, data, content_type=content_type, metadata=metadata)

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """See the port."""
        return self._written.replace(key, data, etag=etag)

    def begin(self, key: str, *, content_type: str) -> Upload:
        """See the port."""
        return self._written.begin(key, content_type=content_type)

    def join(self, key: str, handle: str) -> Staging:
        """See the port."""
        return self._store.join(key, handle)

    def delete(self, key: str, *, etag: str | None = None) -> bool:
        """See the port."""
        return self._written.delete(key, etag=etag)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See the port."""
        yield from self._store.list(prefix)

    def local_path(self, key: str) -> Path | None:
        """See the port. Not checked: callers ask for the object first."""
        return self._unchecked.local_path(key)

    def read_urls(self) -> ReadUrls | None:
        """See the port."""
        return self._unchecked.read_urls()

    def copy_source(self, key: str, *, etag: str) -> CopySource | None:
        """See the port."""
        return self._unchecked.copy_source(key, etag=etag)

    def can_copy(self, source: CopySource) -> bool:
        """See the port."""
        return self._unchecked.can_copy(source)

    def remove_leftovers(self, before: datetime, *, dry_run: bool = False) -> tuple[int, int]:
        """See the port."""
        return self._written.remove_leftovers(before, dry_run=dry_run)

    def check(self) -> datetime:
        """Check the marker, then the store."""
        return self._checked().check()

    @property
    def _store(self) -> ObjectStore:
        # No lock: at worst, several threads check at the same time.
        fresh = time.monotonic() - self._checked_at < CHECK_INTERVAL_SECONDS
        return self._unchecked if fresh else self._checked()

    @property
    def _written(self) -> ObjectStore:
        return self._checked() if self._each_write else self._store

    def _checked(self) -> ObjectStore:
        self._require_marker()
        self._checked_at = time.monotonic()
        return self._unchecked
