"""Disks that are soon full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(parent: Path, megabytes: int = 8) -> Iterator[Path]:
    """A disk of its own in a folder. Where it may not be mounted the test is skipped; under ``CI=true`` it fails."""
    folder = parent / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        reason = "mounting a file system of a test needs root (CAP_SYS_ADMIN)"
        if os.environ.get("CI") == "true":
            # Rows of the README's table are held by such tests alone.
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
