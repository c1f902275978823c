"""DuckDB's ``COPY ... (FORMAT xlsx)`` to a local file, by the excel extension of its wheel, one thread."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import duckdb

from tests.bench.job import Job, run, without_pandas

without_pandas()


def prepare(job: Job) -> Callable[[], None]:
    """Load the extension."""
    spec = find_spec("duckdb_extension_excel")
    if spec is None or spec.origin is None:
        raise RuntimeError("the wheel with the excel extension is missing")
    extension = next(Path(spec.origin).parent.rglob("excel.duckdb_extension"))
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"LOAD '{extension}'; SET TimeZone='UTC'")
    select = job.select("read_parquet($parts)", details="to_json(details)")
    sql = f"COPY ({select}) TO '{job.scratch}/duckdb.xlsx' (FORMAT xlsx, HEADER true)"

    def work() -> None:
        connection.execute(sql, {"parts": list(job.parts)})

    return work


if __name__ == "__main__":
    run(prepare)
