"""Memory that no measurement is the first to touch.

A virtual machine's host takes pages back that have been free for some seconds, and the next write of each costs several
times of what it costs otherwise: 8.4 GB to disk took 25.0 s with such pages and 5.5 s with others. Whoever
writes most pays most, by how long the machine had been idle before. So all free memory is kept in use as clean page
cache, of which the system takes what is needed.
"""

import shutil
from pathlib import Path
from typing import Self

from tests.bench.settings import FOLDER

MOST_BYTES = 64 * 2**30
"""With more free memory than this it would take minutes, and is left out."""
_LEFT_FREE = 768 * 2**20
"""More than what the system keeps free itself: to read less would change nothing, to read more would read in vain."""
_WORTH_IT = 128 * 2**20
_PIECE = 4 * 2**20


class MemoryInUse:
    """Free memory as page cache of files without content, which take no place on disk."""

    def __init__(self, *, kept: bool) -> None:
        self.kept = kept and _free_bytes() <= MOST_BYTES
        self._folder = FOLDER / "memory"
        self._files = 0

    def __enter__(self) -> Self:
        self._remove()
        return self

    def __exit__(self, *exception: object) -> None:
        self._remove()

    def bring(self) -> None:
        """Read as much as is free now."""
        size = _free_bytes() - _LEFT_FREE
        if not self.kept or size < _WORTH_IT:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        # A new one each time: of the older ones nobody knows what is still in memory.
        path = self._folder / str(self._files)
        self._files += 1
        with path.open("wb") as file:
            file.truncate(size)
        piece = bytearray(_PIECE)
        with path.open("rb", buffering=0) as file:
            while file.readinto(piece):
                pass

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _free_bytes() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemFree:"))
