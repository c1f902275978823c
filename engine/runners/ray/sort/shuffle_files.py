"""Slices of an exchange as DuckDB sees them: Parquet files that lie in memory, and later in the cluster's."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pickle import PickleBuffer
from typing import Any

from engine.execute.filesystems import ReadOnlyFileSystem, StageFileSystem, Target

_SLICE = "slice"
_BUCKETS = "buckets"
BUCKET = "_bucket"
ALL_BUCKETS = f"{_BUCKETS}://all"
SLICE_NAME = "slice"
"""The name of the file in the folder of each bucket; DuckDB puts a number behind it."""


class Slices:
    """Takes files by the number of their bucket."""

    def __init__(self) -> None:
        self._pieces: defaultdict[int, list[memoryview]] = defaultdict(list)

    def write(self, bucket: int, data: memoryview) -> None:
        """The next bytes of a file."""
        self._pieces[bucket].append(data)

    def fail(self, reason: BaseException) -> None:
        """Nothing can fail."""

    def taken(self, bucket: int) -> PickleBuffer:
        """The whole file, which is no longer held here; empty if there was none."""
        return PickleBuffer(b"".join(self._pieces.pop(bucket, [])))


class BucketFileSystem(StageFileSystem):
    """``buckets://all``: a folder in which a COPY makes a folder and a file for each bucket."""

    protocol = _BUCKETS

    def open(self, path: str, mode: str = "rb", **options: object) -> Target:
        """Open the file of a bucket for writing."""
        # .../_bucket={number}/slice0.parquet
        return super().open(path.rpartition("/")[0].rpartition("=")[2], mode, **options)

    def isdir(self, _path: str) -> bool:
        """Every folder is there."""
        return True


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


def bucket_paths(count: int) -> list[str]:
    """What DuckDB opens to write so many buckets: the folder, which is the target, then all within it."""
    folders = [f"{ALL_BUCKETS}/{BUCKET}={bucket}" for bucket in range(count)]
    return [ALL_BUCKETS, *folders, *(f"{folder}/{SLICE_NAME}0.parquet" for folder in folders)]


def slice_names(count: int) -> list[str]:
    """What DuckDB opens for so many slices."""
    return [f"{_SLICE}://{number}" for number in range(count)]


def _view(result: Any) -> memoryview:
    # Any: a cluster gives buffers of its own types, and Python 3.11 has no name for what they have in common.
    return memoryview(result)


def _number(path: str) -> int:
    return int(path.rpartition("/")[2])
