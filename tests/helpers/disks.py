"""Small disks."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(parent: Path, megabytes: int = 8) -> Iterator[Path]:
    """A new small disk. The test is skipped if it cannot be mounted, and fails with ``CI=true``."""
    folder = parent / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        reason = "mounting a file system of a test needs root (CAP_SYS_ADMIN)"
        if os.environ.get("CI") == "true":
            # Some rows of tests/faults/README.md have no other test.
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
