"""The task that samples the sort keys of its rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import duckdb
from fsspec import AbstractFileSystem

from engine.catalog.manifest import Part
from engine.execute.duckdb_errors import export_error
from engine.execute.run_files import RunFiles
from engine.execute.session import open_session
from engine.runners.ray.messages import Job
from engine.runners.ray.worker_context import cancel_token, results_of
from engine.sql.statements import Statement


@dataclass(frozen=True, slots=True)
class Keys:
    """Some keys of the rows of one task, and the number of all of these."""

    keys: tuple[bytes, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class SampleTask:
    """Keys of some ranges: the statement gives keys, each with the number of rows."""

    returns: ClassVar[int] = 1

    parts: tuple[Part, ...]
    statement: Statement

    def run(self, job: Job, _: Sequence[object]) -> Keys:
        """The sample. Raises LimitExceeded, SourceDamaged, Cancelled or StoreError."""
        with open_parts(job, self.parts) as connection:
            parameters = {**job.parameters, **self.statement.parameters}
            rows = connection.execute(self.statement.sql, parameters).fetchall()
        return Keys(tuple(key for key, _ in rows), rows[0][1] if rows else 0)


@contextmanager
def open_parts(
    job: Job, parts: Sequence[Part], targets: Sequence[str] = (), *others: AbstractFileSystem
) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with one thread that reads these parts, and ``targets`` by file systems of ours.

    Raises LimitExceeded, SourceDamaged, Cancelled or StoreError for what DuckDB raised in the meantime.
    """
    source = RunFiles(results_of(job), parts, job.published_at)
    readable, cancel = source.file_system(), cancel_token()
    try:
        with (
            open_session(
                job.settings,
                threads=1,
                allowed=[*source.names(parts), *targets],
                file_systems=(*others, readable),
            ) as connection,
            cancel.watching(connection),
        ):
            yield connection
    except duckdb.Error as error:
        raise export_error(error, readable, cancel) from error
