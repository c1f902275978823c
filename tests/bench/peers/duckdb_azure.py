"""DuckDB ``COPY ... TO 'az://...'`` by its azure extension."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tests.bench.job import Job, run
from tests.bench.peers.duckdb_session import connect, copy


def prepare(job: Job) -> Callable[[], None]:
    """Load the extension from its wheel and make a secret."""
    connection = connect(job)
    spec = find_spec("duckdb_extension_azure")
    if spec is None or spec.origin is None:
        raise RuntimeError("the wheel with the azure extension is missing")
    extension = next(Path(spec.origin).parent.rglob("azure.duckdb_extension"))
    connection.execute(f"LOAD '{extension}'")
    connection.execute(f"CREATE SECRET (TYPE azure, CONNECTION_STRING '{job.connection_string}')")
    return copy(connection, job, f"az://{job.container}/{job.blob}")


if __name__ == "__main__":
    run(prepare)
