"""Lists the files of a folder that other processes change."""

import os
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """The files at any depth. Unlike Path.rglob, it ignores folders that are removed meanwhile."""
    return [Path(base, name) for base, _, names in os.walk(folder) for name in names]
