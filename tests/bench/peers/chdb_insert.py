"""chDB (ClickHouse in process): ``INSERT INTO FUNCTION azureBlobStorage(...)``."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tests.bench.job import Job, run

_FORMATS = {"csv": "CSVWithNames", "json": "JSONEachRow", "parquet": "Parquet"}


def prepare(job: Job) -> Callable[[], None]:
    """Open a session."""
    # By name, since only the environment of the peers has it.
    chdb: Any = import_module("chdb.session")
    session = chdb.Session()
    details = "toJSONString(details)" if job.format == "csv" else "details"
    names = ",".join(part.rsplit("/", 1)[1] for part in job.parts)
    folder = job.parts[0].rsplit("/", 1)[0]
    select = job.select(f"file('{folder}/{{{names}}}', Parquet)", details=details)
    sql = (
        f"INSERT INTO FUNCTION azureBlobStorage('{job.connection_string}', '{job.container}', '{job.blob}', "
        f"'{_FORMATS[job.format]}') {select}"
    )

    def work() -> None:
        session.query(sql)

    return work


if __name__ == "__main__":
    run(prepare)
