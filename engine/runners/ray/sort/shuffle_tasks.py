"""The two tasks of a shuffle: one splits rows into slices by key, the other merges slices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pickle import PickleBuffer
from typing import ClassVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from engine.catalog.manifest import Part
from engine.execute.filesystems import StageFileSystem
from engine.execute.run_files import RunFiles, target_of
from engine.runners.ray.encode_task import encode
from engine.runners.ray.messages import Job, Segment
from engine.runners.ray.sort.key_tasks import open_parts
from engine.runners.ray.sort.shuffle_files import (
    BucketFileSystem,
    SliceBuffers,
    SliceFileSystem,
    bucket_paths,
    slice_names,
)
from engine.runners.ray.sort.shuffle_sql import create_bucket_table, write_slice, write_slices
from engine.runners.ray.worker_context import results_of
from engine.sql.statements import Statement


@dataclass(frozen=True, slots=True)
class SplitTask:
    """Splits the rows of some ranges by bucket. Results: the row counts of the buckets, then a Parquet file of each.

    ``one_pass`` writes all files in one pass, otherwise the rows are first ordered by bucket. The result of a bucket
    without rows may have no bytes.
    """

    parts: tuple[Part, ...]
    rows: Statement
    buckets: int
    one_pass: bool

    @property
    def returns(self) -> int:
        """One for the counts, and one for each bucket."""
        return 1 + self.buckets

    def run(self, job: Job, _: Sequence[object]) -> list[object]:
        """Split the rows. Raises LimitExceeded, SourceDamaged, Cancelled or StoreError."""
        slices = SliceBuffers()
        rows = Statement(self.rows.sql, {**job.parameters, **self.rows.parameters})
        write = _write_in_one_pass if self.one_pass else _write_by_bucket
        files = list(write(job, self.parts, rows, slices, self.buckets))
        return [[_rows_of(file) for file in files], *files]


@dataclass(frozen=True, slots=True)
class MergeTask:
    """Merges slices into one segment of the file. ``first`` if the file begins with it.

    ``hand_over`` if the driver needs its bytes.
    """

    returns: ClassVar[int] = 1

    first: bool
    statement: Statement
    hand_over: bool = True

    def run(self, job: Job, inputs: Sequence[object]) -> Segment:
        """Sort, encode and stage. Raises LimitExceeded, Cancelled or StoreError."""
        files = RunFiles(
            results_of(job),
            (),
            job.published_at,
            others=(SliceFileSystem(inputs, job.published_at),),
            other_names=slice_names(len(inputs)),
        )
        return encode(job, [self.statement], files, first=self.first, hand_over=self.hand_over)


def _write_in_one_pass(
    job: Job, parts: Sequence[Part], rows: Statement, slices: SliceBuffers, buckets: int
) -> Iterator[PickleBuffer]:
    with open_parts(job, parts, bucket_paths(buckets), BucketFileSystem(slices)) as connection:
        _execute(connection, write_slices(rows))
    yield from map(slices.pop, range(buckets))


def _write_by_bucket(
    job: Job, parts: Sequence[Part], rows: Statement, slices: SliceBuffers, buckets: int
) -> Iterator[PickleBuffer]:
    targets = [target_of(bucket) for bucket in range(buckets)]
    with open_parts(job, parts, targets, StageFileSystem(slices)) as connection:
        _execute(connection, create_bucket_table(rows))
        for bucket, target in enumerate(targets):
            _execute(connection, write_slice(bucket, target))
            yield slices.pop(bucket)


def _execute(connection: duckdb.DuckDBPyConnection, statement: Statement) -> None:
    connection.execute(statement.sql, statement.parameters)


def _rows_of(file: PickleBuffer) -> int:
    return pq.ParquetFile(pa.BufferReader(file)).metadata.num_rows if file.raw().nbytes else 0
