"""Our COPY statements alone, in one thread and into /dev/null: what DuckDB takes to read and spell the rows."""

from collections.abc import Callable

import duckdb

from engine.catalog.catalog import ResultStore
from engine.exports.exporter import Exporter
from engine.settings import DuckDBSettings
from engine.sql.statements import compile_copy
from engine.stores import open_store
from tests.bench.job import Job, run, without_pandas
from tests.bench.null_store import NullStore
from tests.bench.ours import request_of
from tests.helpers.server import TEAM

without_pandas()


def prepare(job: Job) -> Callable[[], None]:
    """Open DuckDB and plan the export."""
    store = open_store(job.results)
    plan = Exporter(ResultStore(store), NullStore(), DuckDBSettings()).plan(request_of(job), TEAM)
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone='UTC'")
    statements = [
        compile_copy(plan, range_, [str(store.local_path(part.key)) for part in range_.parts], "/dev/null")
        for range_ in plan.ranges
    ]

    def work() -> None:
        for statement in statements:
            connection.execute(statement.sql, statement.parameters)

    return work


if __name__ == "__main__":
    run(prepare)
