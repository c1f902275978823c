"""A directory as an object store. Any program can read the objects as plain files.

Several processes of one machine may use it. The file system must have hard links and flock, as local disks do.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from engine.errors import ObjectMissing
from engine.stores.local.durable_files import raising_store_errors, write_new
from engine.stores.local.file_chunks import FileChunks
from engine.stores.local.joined_upload import DirectoryStaging
from engine.stores.local.sidecar import Sidecar
from engine.stores.local.tree import Tree, info_of, open_version
from engine.stores.local.upload import DirectoryUpload
from engine.stores.object_stream import ObjectStream
from engine.stores.port import CopySource, ObjectInfo, ReadUrls, Staging, Upload
from engine.stores.validation import checked_key, checked_metadata, checked_prefix, checked_range

_NOT_READ = Sidecar()


class DirectoryStore:
    """Objects as files below ``root``; with ``create``, the first write creates a missing root."""

    def __init__(self, root: Path, *, create: bool = True) -> None:
        self._tree = Tree(root, create=create)

    def head(self, key: str) -> ObjectInfo | None:
        """The object, or None, also if the size of its file is wrong."""
        with raising_store_errors():
            return self._tree.info(checked_key(key))

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Bytes of one version; ``b""`` beyond its end."""
        checked_range(start, length)
        with raising_store_errors(), self._opened(key, etag) as file:
            file.seek(start)
            return file.read(-1 if length is None else length)

    def stream(self, key: str, *, start: int, length: int, etag: str) -> ObjectStream:
        """See the port. The file stays open between chunks, so a replacement or removal does not affect the read."""
        checked_range(start, length)
        return FileChunks(self._opened(key, etag, buffering=0), start, length)

    def create(self, key: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> ObjectInfo:
        """Write a new object, atomically. Raises ObjectExists if the key is taken."""
        checked_key(key)
        metadata = checked_metadata(metadata)
        with raising_store_errors(), self._staged(data) as file:
            return self._tree.publish(key, file, content_type, metadata)

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """Write the next version if ``etag`` is current. Raises ObjectChanged or ObjectMissing."""
        checked_key(key)
        with raising_store_errors(), self._staged(data) as file:
            return self._tree.replace(key, file, etag)

    def begin(self, key: str, *, content_type: str) -> Upload:
        """Begin an upload into a staging directory."""
        checked_key(key)
        with raising_store_errors():
            return DirectoryUpload(self._tree, key, content_type)

    def join(self, key: str, handle: str) -> Staging:
        """Join an upload of another process by its staging directory."""
        checked_key(key)
        return DirectoryStaging(self._tree.staging(handle))

    def delete(self, key: str, *, etag: str | None = None) -> bool:
        """Remove the object, or only that version of it; False if there was none."""
        with raising_store_errors():
            return self._tree.remove(checked_key(key), etag)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects in key order, without metadata and content type."""
        checked_prefix(prefix)
        with raising_store_errors():
            for key, status in self._tree.walk(prefix):
                yield info_of(key, status, _NOT_READ)

    def local_path(self, key: str) -> Path | None:
        """The path of the object's file."""
        return self._tree.path(checked_key(key))

    def read_urls(self) -> ReadUrls | None:
        """None: files have no URLs."""
        return None

    def copy_source(self, key: str, *, etag: str) -> CopySource:
        """The path of the object's file."""
        return CopySource(self._tree.path(checked_key(key)), etag)

    def can_copy(self, source: CopySource) -> bool:
        """Whether the source is a file."""
        return isinstance(source.location, Path)

    def remove_leftovers(self, before: datetime, *, dry_run: bool = False) -> tuple[int, int]:
        """Remove the staging directories that were last written before then."""
        with raising_store_errors():
            return self._tree.remove_staging(before.timestamp(), dry_run=dry_run)

    def check(self) -> datetime:
        """Write, link and remove a file below the root; the time is that of a file whose date the file system sets."""
        with raising_store_errors(), self._staged(b"") as file:
            (file.parent / "link").hardlink_to(file)
            dated = file.parent / "dated"
            dated.touch()
            return datetime.fromtimestamp(dated.stat().st_mtime, UTC)

    @contextmanager
    def _opened(self, key: str, etag: str | None, buffering: int = -1) -> Iterator[BinaryIO]:
        """The open file of the current version; a replacement or removal does not affect it."""
        if self._tree.status(checked_key(key)) is None:
            raise ObjectMissing("The object does not exist.")
        with open_version(self._tree.path(key), etag, buffering) as file:
            yield file

    @contextmanager
    def _staged(self, data: bytes) -> Iterator[Path]:
        folder = self._tree.new_staging()
        try:
            write_new(folder / "data", data)
            yield folder / "data"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
