"""Durable operations on single files, and the translation of their errors.

An OSError becomes StoreUnavailable with a remedy; its path stays in ``__cause__``.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.common.private_files import FOLDER_MODE, open_private
from engine.errors import ObjectUnreadable, StoreUnavailable

_MESSAGES = {
    errno.ENOENT: "A folder of the storage directory is missing: mount the directory, or run `tailrace init`.",
    errno.EMFILE: "The service has too many files open: try again later, or raise its limit of open files.",
    errno.ENFILE: "The machine has too many files open: try again later, or raise its limit of open files.",
    errno.ENOSPC: "The storage directory is full: free some space, or move it to a larger disk.",
    errno.EDQUOT: "The storage directory is full: its quota is used up.",
    errno.EACCES: "The storage directory refuses access: let the service's user read and write it.",
    errno.EPERM: "The storage directory refuses access: let the service's user read, write and link files in it.",
    errno.EROFS: "The storage directory is read-only: mount it for writing.",
    errno.ENOTDIR: "The storage directory is not a directory: use another path.",
    errno.EEXIST: "The storage directory is not a directory: use another path.",
}
_COPY_BYTES = 1024 * 1024
_CLOCK_STEPS_NS = (1, 1_000, 1_000_000, 2_000_000_000)


@contextmanager
def raising_store_errors() -> Iterator[None]:
    """Raise StoreUnavailable, or ObjectUnreadable for a broken link, for an OSError of the block."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ObjectUnreadable("The object is a broken link: mount or restore its target.") from error
        number = error.errno or 0
        reason = os.strerror(number) if number else type(error).__name__
        raise StoreUnavailable(_MESSAGES.get(number, f"The storage directory failed: {reason}.")) from error


def make_directory(path: Path) -> None:
    """Create a directory and its parents, durably."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(FOLDER_MODE, exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, data: bytes) -> None:
    """Write a new file, durably. Raises FileExistsError."""
    with open_private(path, "xb") as file:
        file.write(data)
    seal(path)


def seal(path: Path) -> None:
    """Set the modification time of a finished file in full resolution, and make the file durable.

    The time identifies the version. The kernel's own timestamps advance in steps of some milliseconds, so two versions
    could have the same.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        now = time.time_ns()
        os.utime(descriptor, ns=(now, now))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_newer(path: Path, than_ns: int) -> None:
    """Set the modification time past ``than_ns`` if the clock was set back or the file system rounds times."""
    for step in _CLOCK_STEPS_NS:
        if path.stat().st_mtime_ns > than_ns:
            return
        os.utime(path, ns=(than_ns + step, than_ns + step))


def copy_range(source: int, target: int, offset: int, length: int) -> None:
    """Append ``length`` bytes from ``offset`` of one open file to another, in the kernel if possible.

    Raises OSError if the source is too short.
    """
    end = offset + length
    while offset < end:
        copied = _copy_some(source, target, offset, end - offset)
        if not copied:
            raise OSError(errno.EIO, "a staged block is truncated")
        offset += copied


def _copy_some(source: int, target: int, offset: int, length: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, length, offset)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
    return write_all(target, os.pread(source, min(length, _COPY_BYTES), offset))


def write_all(descriptor: int, data: bytes | memoryview) -> int:
    """Write all bytes at the descriptor's position; ``os.write`` may write fewer."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)
