"""The two tasks of an exchange: rows cut by key, and slices put in order."""

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
from engine.runners.ray.messages import Job, Piece
from engine.runners.ray.sort.key_tasks import open_parts
from engine.runners.ray.sort.shuffle_files import BucketFileSystem, SliceFileSystem, Slices, bucket_paths, slice_names
from engine.runners.ray.sort.shuffle_sql import keep_rows, write_slice, write_slices
from engine.runners.ray.worker_context import results_of
from engine.sql.statements import Statement


@dataclass(frozen=True, slots=True)
class SplitTask:
    """Rows of some ranges by bucket. Results: the number of rows in each bucket, then a Parquet file of each.

    ``at_once``: in one pass, else they are put in order first. A bucket without rows may have an empty file.
    """

    parts: tuple[Part, ...]
    rows: Statement
    buckets: int
    at_once: bool

    @property
    def returns(self) -> int:
        """One for the counts, one for each bucket."""
        return 1 + self.buckets

    def run(self, job: Job, _: Sequence[object]) -> list[object]:
        """Counts and files. Raises LimitExceeded, SourceDamaged, Cancelled or StoreError."""
        slices = Slices()
        rows = Statement(self.rows.sql, {**job.parameters, **self.rows.parameters})
        write = _write_at_once if self.at_once else _write_in_turn
        files = list(write(job, self.parts, rows, slices, self.buckets))
        return [[_rows_of(file) for file in files], *files]


@dataclass(frozen=True, slots=True)
class MergeTask:
    """Slices in their order, as one piece of the file. ``first`` says that the file begins with it."""

    returns: ClassVar[int] = 1

    first: bool
    statement: Statement

    def run(self, job: Job, inputs: Sequence[object]) -> Piece:
        """Sort, encode and stage. Raises LimitExceeded, Cancelled or StoreError."""
        files = RunFiles(
            results_of(job),
            (),
            job.published_at,
            others=(SliceFileSystem(inputs, job.published_at),),
            other_names=slice_names(len(inputs)),
        )
        return encode(job, [self.statement], files, first=self.first)


def _write_at_once(
    job: Job, parts: Sequence[Part], rows: Statement, slices: Slices, buckets: int
) -> Iterator[PickleBuffer]:
    with open_parts(job, parts, bucket_paths(buckets), BucketFileSystem(slices)) as connection:
        _execute(connection, write_slices(rows))
    yield from map(slices.taken, range(buckets))


def _write_in_turn(
    job: Job, parts: Sequence[Part], rows: Statement, slices: Slices, buckets: int
) -> Iterator[PickleBuffer]:
    targets = [target_of(bucket) for bucket in range(buckets)]
    with open_parts(job, parts, targets, StageFileSystem(slices)) as connection:
        _execute(connection, keep_rows(rows))
        for bucket, target in enumerate(targets):
            _execute(connection, write_slice(bucket, target))
            yield slices.taken(bucket)


def _execute(connection: duckdb.DuckDBPyConnection, statement: Statement) -> None:
    connection.execute(statement.sql, statement.parameters)


def _rows_of(file: PickleBuffer) -> int:
    return pq.ParquetFile(pa.BufferReader(file)).metadata.num_rows if file.raw().nbytes else 0
