"""Files and folders with rows, keys or temporary data, which only their owner may read.

The mode is set when the file is created, so other users can never open it. A umask can only remove permissions.
"""

import os
from pathlib import Path
from typing import Any

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def open_private(path: Path, mode: str, *, buffering: int = -1) -> Any:
    """`open` for writing. A new file is private; an existing one keeps its mode."""
    return open(path, mode, buffering=buffering, opener=_private)


def make_folders(path: Path) -> None:
    """Create a private folder and its missing parents; existing ones keep their mode."""
    # Path.mkdir(parents=True) sets the mode of the last folder only.
    if not path.is_dir():
        make_folders(path.parent)
        path.mkdir(FOLDER_MODE, exist_ok=True)


def restrict_umask() -> None:
    """Make the files private that libraries write in this process, such as DuckDB's temporary files."""
    os.umask(0o077)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)
