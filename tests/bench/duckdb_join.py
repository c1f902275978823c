"""Changes between two files as DuckDB finds them without hashes: a full join by id that compares all values."""

from collections.abc import Callable

import duckdb

from tests.bench.job import COLUMNS, Job, run, without_pandas

without_pandas()


def prepare(job: Job) -> Callable[[], None]:
    """Open DuckDB, with one thread as our export has."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone='UTC'")
    differs = " OR ".join(f"n.{name} IS DISTINCT FROM o.{name}" for name in COLUMNS)
    cells = ", ".join(f"CASE WHEN n.id IS NULL THEN o.{name} ELSE n.{name} END AS {name}" for name in COLUMNS)
    change = "CASE WHEN o.id IS NULL THEN 'added' WHEN n.id IS NULL THEN 'removed' ELSE 'changed' END"
    rows = "read_parquet($newer) AS n FULL JOIN read_parquet($older) AS o ON n.id = o.id"
    sql = f"COPY (SELECT {change} AS _change, {cells} FROM {rows} WHERE {differs}) TO '{job.scratch}/changes.csv'"
    newer, older = job.parts

    def work() -> None:
        connection.execute(sql, {"newer": newer, "older": older})

    return work


if __name__ == "__main__":
    run(prepare)
