"""Folders below the spill directory: one for each session, pipe and publication, and what the dead left of them.

The directory may be anyone's, such as ``/tmp``: only what bears our name is ever removed.
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
    """A new folder below ``parent``, gone at the end with all that is in it.

    Raises StoreUnavailable if it cannot be made: ``parent`` is a file, a broken link, full or read-only.
    """
    try:
        make_folders(parent)
        folder = tempfile.mkdtemp(dir=parent, prefix=_PREFIX)
    except OSError as error:
        raise StoreUnavailable(
            f"The spill directory cannot be used ({error.strerror}): set TAILRACE_SPILL_DIRECTORY to a directory "
            "that the service may write."
        ) from error
    try:
        yield Path(folder)
    finally:
        try:
            os.rmdir(folder)  # noqa: PTH106  # without a Path, as is most often enough
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)


def abandoned(parent: Path, before: float) -> Iterator[tuple[Path, int]]:
    """Folders in which nothing was written since ``before`` (seconds of the epoch), and the bytes of each."""
    for folder in parent.glob(f"{_PREFIX}*"):
        # Others end beside us, and take theirs away.
        found = [status for path in (folder, *_below(folder)) if (status := _status(path)) is not None]
        if found and max(status.st_mtime for status in found) < before:
            yield folder, sum(status.st_size for status in found[1:])


def _below(folder: Path) -> Iterator[Path]:
    # Not by Path.rglob, which fails when a folder is removed under it.
    for base, folders, files in os.walk(folder):
        yield from (Path(base, name) for name in (*folders, *files))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
