"""Temporary folders below the spill directory: one for each session, pipe and publish.

The spill directory may be shared, such as ``/tmp``: only folders with Tailrace's prefix are removed.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.common.private_files import make_folders
from engine.errors import StoreUnavailable

_PREFIX = "tailrace-spill-"


@contextmanager
def spill_folder(parent: Path) -> Iterator[Path]:
    """A new folder below ``parent``, which is removed with its content at the end of the block.

    Raises StoreUnavailable if it cannot be created: ``parent`` is a file, a broken link, full or read-only.
    """
    try:
        make_folders(parent)
        folder = tempfile.mkdtemp(dir=parent, prefix=_PREFIX)
    except OSError as error:
        raise StoreUnavailable(
            f"The spill directory cannot be used ({error.strerror}): set TAILRACE_SPILL_DIRECTORY to a directory "
            "that the service can write to."
        ) from error
    try:
        yield Path(folder)
    finally:
        try:
            # Cheaper than rmtree for the usual empty folder.
            Path(folder).rmdir()
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)


def abandoned_folders(parent: Path, before: float) -> Iterator[tuple[Path, int]]:
    """Folders without a write since ``before`` (seconds since the epoch), with the size of each in bytes."""
    for folder in parent.glob(f"{_PREFIX}*"):
        # Another process may remove its folder at the same time.
        statuses = [status for path in (folder, *_below(folder)) if (status := _status(path)) is not None]
        if statuses and max(status.st_mtime for status in statuses) < before:
            yield folder, sum(status.st_size for status in statuses[1:])


def _below(folder: Path) -> Iterator[Path]:
    # Path.rglob fails if a folder is removed meanwhile.
    for base, folders, files in os.walk(folder):
        yield from (Path(base, name) for name in (*folders, *files))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
