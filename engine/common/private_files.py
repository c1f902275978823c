"""Files and folders that only their owner may read: rows, keys and temporary data.

The mode is set when the file is made, so others cannot open it even for a moment. A umask can only remove
permissions from it.
"""

import os
from pathlib import Path
from typing import Any

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def open_private(path: Path, mode: str, *, buffering: int = -1) -> Any:
    """`open` for writing; a file that this makes is private, one that exists keeps its mode."""
    return open(path, mode, buffering=buffering, opener=_private)


def make_folders(path: Path) -> None:
    """Make a folder and its missing parents; those that exist keep their mode."""
    # Path.mkdir(parents=True) gives its mode to the last folder only.
    if not path.is_dir():
        make_folders(path.parent)
        path.mkdir(FOLDER_MODE, exist_ok=True)


def restrict_umask() -> None:
    """Make private what libraries write for this process, such as DuckDB's temporary files."""
    os.umask(0o077)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)
