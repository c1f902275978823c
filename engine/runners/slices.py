"""Slices of an exchange as DuckDB sees them: Parquet files that lie in the cluster's memory."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from engine.file_systems import ReadOnlyFileSystem

_SLICE = "slice"


class SliceFileSystem(ReadOnlyFileSystem):
    """``slice://{number}``: results of other tasks. Raises TypeError if one is no file."""

    protocol = _SLICE

    def __init__(self, slices: Sequence[object], modified: datetime) -> None:
        super().__init__(modified)
        self._slices = [_view(one) for one in slices]

    def size(self, path: str) -> int:
        """Bytes."""
        return len(self._slices[_number(path)])

    def isfile(self, path: str) -> bool:
        """Whether there are so many."""
        return _number(path) < len(self._slices)

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """A copy of so many bytes."""
        return bytes(self._slices[_number(path)][start : start + length])


def slice_names(count: int) -> list[str]:
    """What DuckDB opens for so many slices."""
    return [f"{_SLICE}://{number}" for number in range(count)]


def _view(result: Any) -> memoryview:
    # Any: a cluster gives buffers of its own types, and Python 3.11 has no name for what they have in common.
    return memoryview(result)


def _number(path: str) -> int:
    return int(path.rpartition("/")[2])
