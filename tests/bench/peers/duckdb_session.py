"""A DuckDB instance with all threads and the order of the rows kept, as the export promises it."""

from collections.abc import Callable

import duckdb

from tests.bench.job import Job, without_pandas

without_pandas()

OPTIONS = {"csv": "FORMAT csv", "json": "FORMAT json, ARRAY true", "parquet": "FORMAT parquet, COMPRESSION zstd"}


def connect(job: Job) -> duckdb.DuckDBPyConnection:
    """An instance in UTC."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    connection.execute("SET enable_progress_bar=false")
    connection.execute(f"SET temp_directory='{job.scratch}/duckdb'")
    return connection


def copy(connection: duckdb.DuckDBPyConnection, job: Job, target: str) -> Callable[[], None]:
    """The COPY of a job into a target."""
    details = "to_json(details)" if job.format == "csv" else "details"
    select = job.select("read_parquet($parts)", details=details)
    compression = "" if job.compression == "none" else f", COMPRESSION {job.compression}"
    sql = f"COPY ({select}) TO '{target}' ({OPTIONS[job.format]}{compression})"

    def work() -> None:
        connection.execute(sql, {"parts": list(job.parts)})

    return work
