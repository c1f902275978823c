"""pandas in memory, written to a local file, then azure-storage-blob."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tests.bench.job import COLUMNS, Job, run
from tests.bench.peers.upload import blob_client, upload


def prepare(job: Job) -> Callable[[], None]:
    """Import pandas and open the client."""
    # By name, since only the environment of the peers is sure to have it.
    pd: Any = import_module("pandas")
    path = job.local_file()
    client = blob_client(job)

    def work() -> None:
        frame = pd.concat([pd.read_parquet(part, columns=list(COLUMNS)) for part in job.parts], ignore_index=True)
        if job.format == "csv":
            frame.to_csv(path, index=False)
        elif job.format == "json":
            frame.to_json(path, orient="records", lines=True, date_format="iso")
        else:
            frame.to_parquet(path, index=False, compression="zstd")
        upload(client, path)

    return work


if __name__ == "__main__":
    run(prepare)
