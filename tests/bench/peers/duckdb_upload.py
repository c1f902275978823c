"""DuckDB ``COPY`` to a local file, then azure-storage-blob."""

from collections.abc import Callable

from tests.bench.job import Job, run
from tests.bench.peers.duckdb_session import connect, copy
from tests.bench.peers.upload import blob_client, upload


def prepare(job: Job) -> Callable[[], None]:
    """Open DuckDB and the client."""
    path = job.local_file()
    write = copy(connect(job), job, str(path))
    client = blob_client(job)

    def work() -> None:
        write()
        upload(client, path)

    return work


if __name__ == "__main__":
    run(prepare)
