"""The three tasks of a sort that is spread: keys by chance, rows cut by key, and slices put in order."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pickle import PickleBuffer
from typing import ClassVar

import duckdb

from engine.compile import Statement
from engine.executor import Source, failure_of, target_of
from engine.file_systems import StageFileSystem
from engine.runners.exchange_sql import count_buckets, write_slice
from engine.runners.job import Job, Piece
from engine.runners.nodes import cancel_token, results_of
from engine.runners.slices import SliceFileSystem, slice_names
from engine.runners.tasks import encode
from engine.runs import Part
from engine.session import open_session

TABLE = "exchange"
CREATE, EXTEND = f"CREATE TEMP TABLE {TABLE} AS", f"INSERT INTO {TABLE}"


@dataclass(frozen=True, slots=True)
class Keys:
    """Some keys of the rows of one task, each standing for ``weight`` of them."""

    keys: tuple[bytes, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class SampleTask:
    """Keys of some ranges, each a statement that gives keys and the number of rows."""

    returns: ClassVar[int] = 1

    parts: tuple[Part, ...]
    statements: tuple[Statement, ...]

    def run(self, job: Job, _: Sequence[object]) -> tuple[Keys, ...]:
        """One sample for each range. Raises LimitExceeded, SourceDamaged, Cancelled or StoreError."""
        found = []
        with _session(job, self.parts, ()) as connection:
            for one in self.statements:
                rows = connection.execute(one.sql, {**job.parameters, **one.parameters}).fetchall()
                if rows:
                    found.append(Keys(tuple(key for key, _ in rows), rows[0][1] / len(rows)))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class SplitTask:
    """Rows of some ranges by bucket. Results: the number of rows in each bucket, then a Parquet file of each."""

    parts: tuple[Part, ...]
    statements: tuple[Statement, ...]
    buckets: int

    @property
    def returns(self) -> int:
        """One for the counts, one for each bucket."""
        return 1 + self.buckets

    def run(self, job: Job, _: Sequence[object]) -> list[object]:
        """Counts and files. Raises LimitExceeded, SourceDamaged, Cancelled or StoreError."""
        sink = _Slices()
        targets = [target_of(bucket) for bucket in range(self.buckets)]
        with _session(job, self.parts, targets, sink) as connection:
            for one in self.statements:
                connection.execute(one.sql, {**job.parameters, **one.parameters})
            counts = dict(connection.execute(count_buckets(TABLE)).fetchall())
            slices = []
            for bucket, name in enumerate(targets):
                statement = write_slice(TABLE, bucket, name)
                connection.execute(statement.sql, statement.parameters)
                slices.append(sink.taken())
        return [[counts.get(bucket, 0) for bucket in range(self.buckets)], *slices]


@dataclass(frozen=True, slots=True)
class MergeTask:
    """Slices in their order, as one piece of the file. ``first`` says that the file begins with it."""

    returns: ClassVar[int] = 1

    first: bool
    statement: Statement

    def run(self, job: Job, inputs: Sequence[object]) -> Piece:
        """Sort, encode and stage. Raises LimitExceeded, Cancelled or StoreError."""
        return encode(
            job,
            [self.statement],
            Source(results_of(job), (), job.published_at),
            first=self.first,
            others=(SliceFileSystem(inputs, job.published_at),),
            allowed=slice_names(len(inputs)),
        )


class _Slices:
    """Takes one file after another."""

    def __init__(self) -> None:
        self._pieces: list[memoryview] = []

    def write(self, _: int, data: memoryview) -> None:
        self._pieces.append(data)

    def stop(self, reason: BaseException) -> None:
        """Nothing can fail."""

    def taken(self) -> PickleBuffer:
        """The file that was written last."""
        data = b"".join(self._pieces)
        self._pieces = []
        return PickleBuffer(data)


@contextmanager
def _session(
    job: Job, parts: Sequence[Part], targets: Sequence[str], sink: _Slices | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    source = Source(results_of(job), parts, job.published_at)
    readable, cancel = source.file_system(), cancel_token()
    try:
        with (
            open_session(
                job.settings,
                threads=1,
                allowed=[*source.names(parts), *targets],
                file_systems=(StageFileSystem(sink or _Slices()), readable),
            ) as connection,
            cancel.watching(connection),
        ):
            yield connection
    except duckdb.Error as error:
        raise failure_of(error, readable, cancel) from error
