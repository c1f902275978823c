"""The task that samples the sort keys of its rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import duckdb

from engine.catalog.manifest import Part
from engine.execute.duckdb_errors import export_error
from engine.execute.filesystems import StageFileSystem
from engine.execute.run_files import RunFiles
from engine.execute.session import open_session
from engine.runners.ray.messages import Job
from engine.runners.ray.worker_context import cancel_token, results_of
from engine.sql.statements import Statement


@dataclass(frozen=True, slots=True)
class KeySample:
    """Sampled sort keys of the rows of one task, and the number of all its rows."""

    keys: tuple[bytes, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class SampleTask:
    """Samples keys of some ranges: the statement returns keys, each with the number of all rows."""

    returns: ClassVar[int] = 1

    parts: tuple[Part, ...]
    statement: Statement

    def run(self, job: Job, _: Sequence[object]) -> KeySample:
        """Sample the keys. Raises LimitExceeded, SourceDamaged, Cancelled or StoreError."""
        with open_parts(job, self.parts) as connection:
            parameters = {**job.parameters, **self.statement.parameters}
            rows = connection.execute(self.statement.sql, parameters).fetchall()
        return KeySample(tuple(key for key, _ in rows), rows[0][1] if rows else 0)


@contextmanager
def open_parts(
    job: Job, parts: Sequence[Part], targets: Sequence[str] = (), *others: StageFileSystem
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB with one thread; it reads these parts, and writes ``targets`` through ``others``.

    An error of DuckDB within the block becomes LimitExceeded, SourceDamaged, Cancelled or StoreError.
    """
    files = RunFiles(results_of(job), parts, job.published_at)
    file_system, cancel = files.file_system(), cancel_token()
    try:
        with (
            open_session(
                job.settings,
                threads=1,
                allowed=[*files.names(parts), *targets],
                file_systems=(*others, file_system),
            ) as connection,
            cancel.watching(connection),
        ):
            yield connection
    except duckdb.Error as error:
        raise export_error(error, file_system, cancel) from error
