"""Whether an output holds the requested rows: counts and checksums of what is read back.

The expected figures come from the run's parts. A program of its own, so that the one that measures stays small: it
reads a job a line, and prints what is wrong with its output as a line of JSON, an empty text if nothing is.
"""

import json
import sys
from pathlib import Path

import duckdb
import numpy as np
from azure.storage.blob import BlobServiceClient

from tests.bench.job import Job

_SUMS = (
    "count(*), sum(CAST(id AS BIGINT)), sum(CAST(batch AS BIGINT)), sum(length(title)), "
    "CAST(bit_xor(hash(title)) AS VARCHAR)"
)
_READERS = {
    "csv": "read_csv($path, all_varchar = true, header = true)",
    "json": "read_json($path, columns = {{id: 'BIGINT', batch: 'BIGINT', title: 'VARCHAR', {sort}: 'DOUBLE'}})",
    "parquet": "read_parquet($path)",
}


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        try:
            wrong = check(Job.read(line))
        except Exception as error:  # noqa: BLE001  # whatever keeps an output from being read is wrong with it
            wrong = f"cannot be read: {type(error).__name__}: {error}"
        sys.stdout.write(json.dumps(wrong) + "\n")
        sys.stdout.flush()


def check(job: Job) -> str:
    """Download the largest blob of the container and compare it with the job."""
    container = BlobServiceClient.from_connection_string(job.connection_string).get_container_client(job.container)
    blob = max(container.list_blobs(), key=lambda found: found.size)
    path = Path(job.scratch) / f"check.{job.format}"
    with path.open("wb") as file:
        container.download_blob(blob.name, max_concurrency=4).readinto(file)
    try:
        return compare(job, path)
    finally:
        path.unlink()


def compare(job: Job, path: Path) -> str:
    """What is wrong with an output of the job; nothing: an empty text."""
    connection = duckdb.connect()
    source = f"read_parquet($parts) WHERE {job.condition}"
    expected = connection.execute(f"SELECT {_SUMS} FROM {source}", {"parts": list(job.parts)}).fetchone()
    reader = _READERS[job.format].format(sort=job.sort or "rating")
    found = connection.execute(f"SELECT {_SUMS} FROM {reader}", {"path": str(path)}).fetchone()
    columns = [
        name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {reader}", {"path": str(path)}).fetchall()
    ]
    if found != expected:
        return f"holds {found}, expected {expected}"
    if "_row_id" in columns:
        return "holds the row ids, which were not requested"
    if job.sort:
        values = connection.execute(f"SELECT CAST({job.sort} AS DOUBLE) AS v FROM {reader}", {"path": str(path)})
        if bool(np.any(np.diff(values.fetchnumpy()["v"]) < 0)):
            return "is not sorted"
    return ""


if __name__ == "__main__":
    main()
