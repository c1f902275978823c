"""Files of a folder in which others work."""

import os
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """Those at any depth; folders that are removed meanwhile are passed over, where Path.rglob fails."""
    return [Path(base, name) for base, _, names in os.walk(folder) for name in names]
