"""How the user calls this program."""

import shutil
import sys
from pathlib import Path

NAME = "tailrace"


def program() -> str:
    """``tailrace`` if it is found on the PATH, else the path by which it was started: ``.venv/bin/tailrace``."""
    started = sys.argv[0]
    return started if Path(started).name == NAME and shutil.which(NAME) is None else NAME
