"""A directory as an object store: nothing to install, and any program can read the objects as plain files.

Works between processes of one machine. The file system needs hard links and flock (local disks have both).
"""

import os
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from engine.errors import ObjectChanged, ObjectMissing, ObjectUnreadable
from engine.stores.local.durable_files import raising_store_errors, write_new
from engine.stores.local.file_chunks import FileChunks
from engine.stores.local.joined_upload import DirectoryStaging
from engine.stores.local.sidecar import Sidecar
from engine.stores.local.tree import Tree, info_of, version_of
from engine.stores.local.upload import DirectoryUpload
from engine.stores.port import ObjectInfo, ReadUrls, Staging, Upload
from engine.stores.validation import checked_key, checked_metadata, checked_prefix, checked_range


class DirectoryStore:
    """Objects as files below ``root``; with ``create``, the first write makes the root if it is missing."""

    def __init__(self, root: Path, *, create: bool = True) -> None:
        self._tree = Tree(root, create=create)

    def head(self, key: str) -> ObjectInfo | None:
        """The object, or None also if its file is not as long as it was written."""
        with raising_store_errors():
            return self._tree.info(checked_key(key))

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Bytes of one version; ``b""`` beyond its end."""
        checked_range(start, length)
        with raising_store_errors(), self._opened(key, etag) as file:
            file.seek(start)
            return file.read(-1 if length is None else length)

    def stream(self, key: str, *, start: int, length: int, etag: str) -> Generator[bytes, None, None]:
        """The file stays open between chunks, so that a replacement or removal meanwhile does no harm."""
        checked_range(start, length)
        return FileChunks(self._opened(key, etag, buffering=0), start, length)

    def create(self, key: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> ObjectInfo:
        """Write a new object in one atomic step. Raises ObjectExists if the key is taken."""
        checked_key(key)
        metadata = checked_metadata(metadata)
        with raising_store_errors(), self._staged(data) as file:
            return self._tree.publish(key, file, content_type, metadata)

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """Write the next version if ``etag`` is still current. Raises ObjectChanged or ObjectMissing."""
        checked_key(key)
        with raising_store_errors(), self._staged(data) as file:
            return self._tree.replace(key, file, etag)

    def begin(self, key: str, *, content_type: str) -> Upload:
        """Start an upload into the staging directory."""
        checked_key(key)
        with raising_store_errors():
            return DirectoryUpload(self._tree, key, content_type)

    def join(self, key: str, handle: str) -> Staging:
        """Stage into the directory of an upload that another process began."""
        checked_key(key)
        return DirectoryStaging(self._tree.staging(handle))

    def delete(self, key: str, *, etag: str | None = None) -> bool:
        """Remove the object, or only that version of it; False if there was none."""
        with raising_store_errors():
            return self._tree.remove(checked_key(key), etag)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects by key, from the directory alone: without metadata and content type."""
        checked_prefix(prefix)
        with raising_store_errors():
            for key, status in self._tree.walk(prefix):
                yield info_of(key, status, Sidecar())

    def local_path(self, key: str) -> Path | None:
        """The object's own file."""
        return self._tree.path(checked_key(key))

    def read_urls(self) -> ReadUrls | None:
        """None: files have no URLs of their own."""
        return None

    def remove_leftovers(self, before: datetime, *, dry: bool = False) -> tuple[int, int]:
        """Staging folders that nobody wrote to since."""
        with raising_store_errors():
            return self._tree.remove_staging(before.timestamp(), dry=dry)

    def check(self) -> None:
        """Write, link and remove a file below the root."""
        with raising_store_errors(), self._staged(b"") as file:
            (file.parent / "link").hardlink_to(file)

    @contextmanager
    def _opened(self, key: str, etag: str | None, buffering: int = -1) -> Iterator[BinaryIO]:
        """The current version, open; what is read from it is that version, whatever happens to the name."""
        if self._tree.status(checked_key(key)) is None:
            raise ObjectMissing("The object is not there.")
        try:
            file = self._tree.path(key).open("rb", buffering)
        except FileNotFoundError:
            raise ObjectMissing("The object is not there.") from None
        except PermissionError as error:
            raise ObjectUnreadable("The object refuses access: let the service's user read it.") from error
        with file:
            status = os.fstat(file.fileno())
            if not S_ISREG(status.st_mode):
                raise ObjectMissing("The object is not there.")
            if etag is not None and version_of(status) != etag:
                raise ObjectChanged("The object was changed by someone else.")
            yield file

    @contextmanager
    def _staged(self, data: bytes) -> Iterator[Path]:
        folder = self._tree.new_staging()
        try:
            write_new(folder / "data", data)
            yield folder / "data"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
