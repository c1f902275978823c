"""Files that are not part of this repository: real results, and public CSV and JSON files as people have them."""

import os
from pathlib import Path

DATA = Path(os.environ.get("TAILRACE_SHARED") or Path(__file__).parents[3] / "shared") / "data"
"""``TAILRACE_SHARED`` is the folder that has ``data``; beside the checkout if it is not set."""


def missing(path: Path) -> str:
    """The reason for a skip."""
    return f"{path} is not part of this repository: set TAILRACE_SHARED to the folder that has data/"
