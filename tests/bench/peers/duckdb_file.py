"""DuckDB ``COPY`` to a local file, compressed as the job says."""

from collections.abc import Callable

from tests.bench.job import Job, run
from tests.bench.peers.duckdb_session import connect, copy


def prepare(job: Job) -> Callable[[], None]:
    """Open DuckDB."""
    return copy(connect(job), job, str(job.local_file()))


if __name__ == "__main__":
    run(prepare)
