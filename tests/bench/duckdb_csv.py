"""DuckDB's own ``COPY (FROM read_csv(...)) TO ... (FORMAT parquet)``, one thread, with the compression of our parts."""

from collections.abc import Callable

import duckdb

from tests.bench.job import Job, run, without_pandas

without_pandas()


def prepare(job: Job) -> Callable[[], None]:
    """Open DuckDB."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone='UTC'")
    sql = f"COPY (FROM read_csv($paths)) TO '{job.scratch}/copy.parquet' (FORMAT parquet, COMPRESSION zstd)"

    def work() -> None:
        connection.execute(sql, {"paths": list(job.parts)})

    return work


if __name__ == "__main__":
    run(prepare)
