"""The slices of a shuffle as DuckDB sees them: Parquet files in memory, later in that of the cluster."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pickle import PickleBuffer
from typing import Any

from engine.execute.filesystems import RangeOutputFile, ReadOnlyFileSystem, StageFileSystem

_SLICE = "slice"
_BUCKETS = "buckets"
BUCKET = "_bucket"
ALL_BUCKETS = f"{_BUCKETS}://all"
SLICE_NAME = "slice"
"""The name of the file in the folder of each bucket; DuckDB appends a number."""


class SliceBuffers:
    """Collects the bytes of files by the number of their bucket."""

    def __init__(self) -> None:
        self._chunks: defaultdict[int, list[memoryview]] = defaultdict(list)

    def write(self, bucket: int, data: memoryview) -> None:
        """Append bytes to a file."""
        self._chunks[bucket].append(data)

    def fail(self, reason: BaseException) -> None:
        """Do nothing: writing into memory cannot fail."""

    def pop(self, bucket: int) -> PickleBuffer:
        """Remove and return a file; empty if nothing was written."""
        return PickleBuffer(b"".join(self._chunks.pop(bucket, [])))


class BucketFileSystem(StageFileSystem):
    """``buckets://all``: a folder in which a COPY creates a folder and a file for each bucket."""

    protocol = _BUCKETS

    def open(self, path: str, mode: str = "rb", **options: object) -> RangeOutputFile:
        """Open the file of a bucket for writing."""
        # .../_bucket={number}/slice0.parquet
        return super().open(path.rpartition("/")[0].rpartition("=")[2], mode, **options)

    def isdir(self, _path: str) -> bool:
        """Every folder exists."""
        return True


class SliceFileSystem(ReadOnlyFileSystem):
    """``slice://{number}``: results of other tasks. Raises TypeError if one is not a buffer."""

    protocol = _SLICE

    def __init__(self, slices: Sequence[object], modified: datetime) -> None:
        super().__init__(modified)
        self._slices = [_view(buffer) for buffer in slices]

    def size(self, path: str) -> int:
        """Length of a slice in bytes."""
        return len(self._slices[_number(path)])

    def isfile(self, path: str) -> bool:
        """Whether the slice exists."""
        return _number(path) < len(self._slices)

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """A copy of ``length`` bytes."""
        return bytes(self._slices[_number(path)][start : start + length])


def bucket_paths(count: int) -> list[str]:
    """The paths that DuckDB opens to write that many buckets: the target, which is a folder, then its content."""
    folders = [f"{ALL_BUCKETS}/{BUCKET}={bucket}" for bucket in range(count)]
    return [ALL_BUCKETS, *folders, *(f"{folder}/{SLICE_NAME}0.parquet" for folder in folders)]


def slice_names(count: int) -> list[str]:
    """The paths at which DuckDB opens that many slices."""
    return [f"{_SLICE}://{number}" for number in range(count)]


def _view(result: Any) -> memoryview:
    # Any: a cluster returns its own types of buffers, and Python 3.11 has no type for all of them.
    return memoryview(result)


def _number(path: str) -> int:
    return int(path.rpartition("/")[2])
