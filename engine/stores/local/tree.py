"""The file layout of a directory store, and the operations that change it.

::

    root/<key>                the bytes, readable by any program
    root/.meta/<key>.json     content type, metadata and size
    root/.staging/<nonce>/    uncommitted data
    root/.lock                locked (flock) while an object is created, replaced or removed

A data file is never written in place: each version is a new file that is moved to its name. So an open file never
changes, and readers need no lock.
"""

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from engine.common.private_files import FILE_MODE, FOLDER_MODE
from engine.errors import ObjectChanged, ObjectExists, ObjectMissing, ObjectUnreadable, StoreError
from engine.stores.local.durable_files import make_directory, make_newer, sync_directory
from engine.stores.local.sidecar import Sidecar
from engine.stores.port import ObjectInfo

_STAGING_NAME = re.compile(r"[0-9a-f]{24}")
STAGING_LIFETIME_SECONDS = 7 * 24 * 3600
"""The age at which the data of a killed upload is removed: as long as Azure retains uncommitted blocks."""


def version_of(status: os.stat_result) -> str:
    """The ETag of a file: its modification time (see `seal`) and size. A backup that preserves times preserves it."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def info_of(key: str, status: os.stat_result, sidecar: Sidecar) -> ObjectInfo:
    """The version of an object for a file and its sidecar."""
    return ObjectInfo(
        key=key,
        size=status.st_size,
        etag=version_of(status),
        modified=datetime.fromtimestamp(status.st_mtime, UTC),
        content_type=sidecar.content_type,
        metadata=sidecar.metadata,
    )


def open_version(path: Path, etag: str | None, buffering: int = -1) -> BinaryIO:
    """Open the data file at a path, whose later replacement or removal does not affect the open file.

    Raises ObjectMissing, ObjectUnreadable, or ObjectChanged if ``etag`` is given and is not that of the file.
    """
    try:
        file: BinaryIO = path.open("rb", buffering)
    except FileNotFoundError:
        raise ObjectMissing("The object does not exist.") from None
    except PermissionError as error:
        raise ObjectUnreadable("The object refuses access: let the service's user read it.") from error
    try:
        status = os.fstat(file.fileno())
        if not S_ISREG(status.st_mode):
            raise ObjectMissing("The object does not exist.")
        if etag is not None and version_of(status) != etag:
            raise ObjectChanged("The object has changed.")
    except BaseException:
        file.close()
        raise
    return file


class Tree:
    """The files below one root. Methods raise OSError untranslated, and expect valid keys."""

    def __init__(self, root: Path, *, create: bool) -> None:
        self.root = root
        self._root_name = str(root)
        self._create = create
        self._stale_staging_removed = False

    def path(self, key: str) -> Path:
        """The path of the object's data file."""
        return self.root / key

    def status(self, key: str) -> os.stat_result | None:
        """The status of the data file, or None if there is none. Raises OSError with ELOOP for a broken link."""
        try:
            status = os.stat(f"{self._root_name}/{key}")  # noqa: PTH116  # a Path takes longer than the call
        except FileNotFoundError:
            if self._is_broken_link(key):
                raise OSError(errno.ELOOP, "a broken link") from None
            return None
        except NotADirectoryError:
            # There is no object below another object, but a root that is not a directory is an error.
            if self.root.is_dir():
                return None
            raise
        return status if S_ISREG(status.st_mode) else None

    def info(self, key: str) -> ObjectInfo | None:
        """The object, or None if there is none or the size of its file is wrong."""
        status = self.status(key)
        while status is not None:
            sidecar = Sidecar.read(self._sidecar_path(key))
            again = self.status(key)
            if again is not None and version_of(again) == version_of(status):
                return info_of(key, status, sidecar) if sidecar.fits(status.st_size) else None
            status = again
        return None

    def new_staging(self) -> Path:
        """Create a directory for uncommitted data. The first call also removes stale ones."""
        self._make_root()
        staging = self.root / ".staging"
        make_directory(staging)
        folder = staging / secrets.token_hex(12)
        folder.mkdir(FOLDER_MODE)
        if not self._stale_staging_removed:
            self._stale_staging_removed = True
            # By the clock of the file system: with a wrong one, uploads of other machines would be removed.
            self.remove_staging(folder.stat().st_mtime - STAGING_LIFETIME_SECONDS)
        return folder

    def staging(self, handle: str) -> Path:
        """The directory with that name that `new_staging` has created; it may be gone. Raises ValueError."""
        if not _STAGING_NAME.fullmatch(handle):
            raise ValueError("not the handle of an upload")
        return self.root / ".staging" / handle

    def remove_staging(self, before: float, *, dry_run: bool = False) -> tuple[int, int]:
        """Remove staging directories without a write since ``before`` (seconds since the epoch).

        Returns their number and bytes. ``dry_run`` only counts.
        """
        number = size = 0
        for folder in (self.root / ".staging").glob("*"):
            # Its process may remove it at the same time.
            with suppress(OSError):
                statuses = [path.stat() for path in (folder, *folder.iterdir())]
                if max(status.st_mtime for status in statuses) >= before:
                    continue
                if not dry_run:
                    shutil.rmtree(folder)
                number += 1
                size += sum(status.st_size for status in statuses[1:])
        return number, size

    def publish(self, key: str, staged: Path, content_type: str, metadata: Mapping[str, str]) -> ObjectInfo:
        """Make a sealed file the data file of a new object. Raises ObjectExists if the key is taken."""
        path = self.path(key)
        status = staged.stat()
        sidecar = Sidecar(content_type, metadata, (status.st_size,))
        with self._lock():
            self._require_free(key)
            sidecar.write(self._sidecar_path(key), staged.parent)
            make_directory(path.parent)
            try:
                path.hardlink_to(staged)
            except FileExistsError:
                # Another program, which does not use the lock, has put a file here; it has no sidecar.
                self._sidecar_path(key).unlink(missing_ok=True)
                raise ObjectExists("The object exists already.") from None
            sync_directory(path.parent)
        return info_of(key, status, sidecar)

    def replace(self, key: str, staged: Path, etag: str) -> ObjectInfo:
        """Replace a version by a sealed file. Raises ObjectMissing or ObjectChanged."""
        path = self.path(key)
        with self._lock():
            current = self.info(key)
            if current is None:
                raise ObjectMissing("The object does not exist.")
            if current.etag != etag:
                raise ObjectChanged("The object has changed.")
            make_newer(staged, path.stat().st_mtime_ns)
            status = staged.stat()
            sidecar = Sidecar(current.content_type, current.metadata, (current.size, status.st_size))
            sidecar.write(self._sidecar_path(key), staged.parent)
            staged.replace(path)
            sync_directory(path.parent)
        return info_of(key, status, sidecar)

    def remove(self, key: str, etag: str | None) -> bool:
        """Remove an object, with ``etag`` only that version of it; False if there was none.

        Also removes its sidecar and the directories that become empty.
        """
        path, sidecar_path = self.path(key), self._sidecar_path(key)
        with self._lock():
            status = self.status(key)
            if status is None or etag not in (None, version_of(status)):
                return False
            path.unlink()
            sidecar_path.unlink(missing_ok=True)
            # Safe, since directories for objects are only created under the lock.
            _remove_empty(path.parent, self.root)
            _remove_empty(sidecar_path.parent, self.root / ".meta")
        return True

    def walk(self, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """The keys that begin with ``prefix``, in order, with the statuses of their data files."""
        folder = prefix.rpartition("/")[0]
        yield from self._walk(f"{folder}/" if folder else "", prefix)

    def _walk(self, base: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with os.scandir(f"{self._root_name}/{base}") as scan:
                entries = [entry for entry in scan if not entry.name.startswith(".")]
        except FileNotFoundError:
            return
        except NotADirectoryError:
            if self.root.is_dir():
                return
            raise
        # A directory sorts with its "/", as its keys do: "a-b" comes before "a/b".
        for name in sorted(f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name for e in entries):
            key = base + name
            if name.endswith("/") and (key.startswith(prefix) or prefix.startswith(key)):
                yield from self._walk(key, prefix)
            elif key.startswith(prefix):
                status = self._status_or_link(key)
                if status is not None:
                    yield key, status

    def _status_or_link(self, key: str) -> os.stat_result | None:
        """As `status`, but the status of the link itself if it is broken, so that it does not break a list."""
        try:
            return self.status(key)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return self.path(key).lstat()

    def _is_broken_link(self, key: str) -> bool:
        """Whether the file or a directory above it is a broken link, such as one into a volume that is not mounted."""
        name = f"{self._root_name}/{key}"
        paths = [name[:end] for end, sign in enumerate(name) if sign == "/" and end > len(self._root_name)]
        return any(os.path.islink(path) and not os.path.exists(path) for path in (name, *paths))  # noqa: PTH110, PTH114  # as in status

    def _sidecar_path(self, key: str) -> Path:
        return self.root / ".meta" / f"{key}.json"

    def _make_root(self) -> None:
        if self._create:
            make_directory(self.root)
        elif not self.root.is_dir():
            # Raises FileNotFoundError; a root that is a file raises NotADirectoryError at the next step.
            self.root.stat()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._make_root()
        # A new descriptor each time: flock belongs to the descriptor, so it excludes threads as well as processes.
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            # Closing does not unlock if a child process has inherited the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _require_free(self, key: str) -> None:
        """Raise ObjectExists if the key is taken. Removes a file of the wrong size, which is not an object."""
        path = self.path(key)
        if self.info(key) is not None:
            raise ObjectExists("The object exists already.")
        if path.is_dir() or any(parent.is_file() for parent in path.parents if parent.is_relative_to(self.root)):
            raise StoreError("An object's key cannot be a folder of another object's key in this store.")
        path.unlink(missing_ok=True)


def _remove_empty(folder: Path, top: Path) -> None:
    with suppress(OSError):
        while folder != top:
            folder.rmdir()
            folder = folder.parent
