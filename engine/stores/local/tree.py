"""Where a directory store keeps what, and the few steps that change it.

::

    root/<key>                the bytes, readable by any program
    root/.meta/<key>.json     content type, metadata and size
    root/.staging/<nonce>/    what is not visible yet
    root/.lock                held (flock) by whoever makes, replaces or removes an object

A data file is never written in place: each version is a file of its own that moves to its name whole. So a file that is
open stays one version, and readers need no lock.
"""

import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

from engine.common.private_files import FILE_MODE, FOLDER_MODE
from engine.errors import ObjectChanged, ObjectExists, ObjectMissing, StoreError
from engine.stores.local.durable_files import make_directory, make_newer, sync_directory
from engine.stores.local.sidecar import Sidecar
from engine.stores.port import ObjectInfo

_STAGING_NAME = re.compile(r"[0-9a-f]{24}")
STAGING_LIFETIME_SECONDS = 7 * 24 * 3600
"""What a killed upload left is swept after the time for which Azure keeps uncommitted blocks."""


def version_of(status: os.stat_result) -> str:
    """The ETag of a file: its stamp (see `seal`) and size, which copies and backups that keep times keep too."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def info_of(key: str, status: os.stat_result, sidecar: Sidecar) -> ObjectInfo:
    """The port's view of one file and its sidecar."""
    return ObjectInfo(
        key=key,
        size=status.st_size,
        etag=version_of(status),
        modified=datetime.fromtimestamp(status.st_mtime, UTC),
        content_type=sidecar.content_type,
        metadata=sidecar.metadata,
    )


class Tree:
    """The files below one root. Methods raise OSError as it comes; keys are checked before they get here."""

    def __init__(self, root: Path, *, create: bool) -> None:
        self.root = root
        self._create = create
        self._swept = False

    def path(self, key: str) -> Path:
        """Where the object's bytes lie."""
        return self.root / key

    def status(self, key: str) -> os.stat_result | None:
        """The data file's status, or None if there is no such file."""
        try:
            status = self.path(key).stat()
        except FileNotFoundError:
            if self._is_broken_link(key):
                raise OSError(errno.ELOOP, "a broken link") from None
            return None
        except NotADirectoryError:
            # A key below another object names nothing, but a root that is no directory is a fault.
            if self.root.is_dir():
                return None
            raise
        return status if S_ISREG(status.st_mode) else None

    def info(self, key: str) -> ObjectInfo | None:
        """The object, or None if there is none or its file is not as long as it was written."""
        status = self.status(key)
        while status is not None:
            sidecar = Sidecar.read(self._sidecar_path(key))
            again = self.status(key)
            if again is not None and version_of(again) == version_of(status):
                return info_of(key, status, sidecar) if sidecar.fits(status.st_size) else None
            status = again
        return None

    def new_staging(self) -> Path:
        """A new empty directory for what is not visible yet."""
        self._make_root()
        staging = self.root / ".staging"
        make_directory(staging)
        if not self._swept:
            self._swept = True
            self.remove_staging(time.time() - STAGING_LIFETIME_SECONDS)
        folder = staging / secrets.token_hex(12)
        folder.mkdir(FOLDER_MODE)
        return folder

    def staging(self, handle: str) -> Path:
        """The directory that `new_staging` made under that name, whether it is still there or not."""
        if not _STAGING_NAME.fullmatch(handle):
            raise ValueError("not the handle of an upload")
        return self.root / ".staging" / handle

    def remove_staging(self, before: float, *, dry: bool = False) -> tuple[int, int]:
        """Remove staging folders that nobody wrote to since ``before``, in seconds; their number and bytes."""
        number = size = 0
        for folder in (self.root / ".staging").glob("*"):
            # Its owner may remove it in this moment.
            with suppress(OSError):
                found = [path.stat() for path in (folder, *folder.iterdir())]
                if max(status.st_mtime for status in found) >= before:
                    continue
                if not dry:
                    shutil.rmtree(folder)
                number += 1
                size += sum(status.st_size for status in found[1:])
        return number, size

    def publish(self, key: str, staged: Path, content_type: str, metadata: Mapping[str, str]) -> ObjectInfo:
        """Give a sealed file the name of a new object. Raises ObjectExists if the key is taken."""
        path = self.path(key)
        status = staged.stat()
        sidecar = Sidecar(content_type, metadata, (status.st_size,))
        with self._lock():
            self._make_room(key)
            sidecar.write(self._sidecar_path(key), staged.parent)
            make_directory(path.parent)
            try:
                path.hardlink_to(staged)
            except FileExistsError:
                # A program that knows nothing of the lock put a file here: it has no sidecar of ours.
                self._sidecar_path(key).unlink(missing_ok=True)
                raise ObjectExists("An object of that name is there already.") from None
            sync_directory(path.parent)
        return info_of(key, status, sidecar)

    def replace(self, key: str, staged: Path, etag: str) -> ObjectInfo:
        """Put a sealed file in the place of one version. Raises ObjectMissing or ObjectChanged."""
        path = self.path(key)
        with self._lock():
            current = self.info(key)
            if current is None:
                raise ObjectMissing("The object is not there.")
            if current.etag != etag:
                raise ObjectChanged("The object was changed by someone else.")
            make_newer(staged, path.stat().st_mtime_ns)
            status = staged.stat()
            sidecar = Sidecar(current.content_type, current.metadata, (current.size, status.st_size))
            sidecar.write(self._sidecar_path(key), staged.parent)
            staged.replace(path)
            sync_directory(path.parent)
        return info_of(key, status, sidecar)

    def remove(self, key: str, etag: str | None) -> bool:
        """Remove an object, its sidecar and the directories that this empties; False if there was none.

        With an ETag, only that version of it.
        """
        path, sidecar_path = self.path(key), self._sidecar_path(key)
        with self._lock():
            status = self.status(key)
            if status is None or etag not in (None, version_of(status)):
                return False
            path.unlink()
            sidecar_path.unlink(missing_ok=True)
            # Safe, since whoever makes directories for an object holds the lock as well.
            _remove_empty(path.parent, self.root)
            _remove_empty(sidecar_path.parent, self.root / ".meta")
        return True

    def walk(self, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """Keys and statuses of the data files whose key begins with ``prefix``, by key."""
        folder = prefix.rpartition("/")[0]
        yield from self._walk(f"{folder}/" if folder else "", prefix)

    def _walk(self, base: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with os.scandir(self.root / base) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
        except FileNotFoundError:
            return
        except NotADirectoryError:
            if self.root.is_dir():
                return
            raise
        # With its "/" a directory sorts where its keys do: "a-b" comes before "a/b".
        for name in sorted(f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name for e in entries):
            key = base + name
            if name.endswith("/") and (key.startswith(prefix) or prefix.startswith(key)):
                yield from self._walk(key, prefix)
            elif key.startswith(prefix):
                status = self._status_or_link(key)
                if status is not None:
                    yield key, status

    def _status_or_link(self, key: str) -> os.stat_result | None:
        """As `status`, but of the link itself if it is broken: reading that object fails, a list of all does not."""
        try:
            return self.status(key)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return self.path(key).lstat()

    def _is_broken_link(self, key: str) -> bool:
        """Whether the file or a folder above it is a broken link, such as one into a volume that is not mounted."""
        path = self.path(key)
        ways = [path, *(folder for folder in path.parents if folder != self.root and folder.is_relative_to(self.root))]
        return any(way.is_symlink() and not way.exists() for way in ways)

    def _sidecar_path(self, key: str) -> Path:
        return self.root / ".meta" / f"{key}.json"

    def _make_root(self) -> None:
        if self._create:
            make_directory(self.root)
        elif not self.root.is_dir():
            # A file raises NotADirectoryError by what comes next.
            self.root.stat()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._make_root()
        # Opened anew each time: flock belongs to the opening, so it keeps threads apart as well as processes.
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            # Closing would not do if a child process inherited the descriptor meanwhile.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _make_room(self, key: str) -> None:
        """Refuse a taken key; remove a file that `info` calls absent, or its key could never be written again."""
        path = self.path(key)
        if self.info(key) is not None:
            raise ObjectExists("An object of that name is there already.")
        if path.is_dir() or any(parent.is_file() for parent in path.parents if parent.is_relative_to(self.root)):
            raise StoreError("The name of one object cannot be a folder of another in this store.")
        path.unlink(missing_ok=True)


def _remove_empty(folder: Path, top: Path) -> None:
    with suppress(OSError):
        while folder != top:
            folder.rmdir()
            folder = folder.parent
