"""DuckDB's ``COPY ... (FORMAT csv, COMPRESSION gzip)`` to a local file, all threads."""

from collections.abc import Callable

import duckdb

from tests.bench.job import Job, run, without_pandas

without_pandas()


def prepare(job: Job) -> Callable[[], None]:
    """Connect."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    sql = f"COPY ({job.select('read_parquet($parts)')}) TO '{job.scratch}/duckdb.csv.gz' (FORMAT csv, COMPRESSION gzip)"

    def work() -> None:
        connection.execute(sql, {"parts": list(job.parts)})

    return work


if __name__ == "__main__":
    run(prepare)
