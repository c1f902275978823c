"""The least that a small export can be: DuckDB's COPY and one upload, in one process that is warm.

As a program it reads a number a line, exports the rows from that number on, and prints the seconds it took.
"""

import json
import os
import sys
import time
from pathlib import Path

import duckdb
from azure.storage.blob import BlobClient

from tests.bench.job import Job, without_pandas

without_pandas()


def main() -> None:
    """Answer until standard input ends."""
    job = Job.read(sys.argv[1])
    # In memory, so that no disk is waited for.
    memory = Path("/dev/shm")
    path = (memory if memory.is_dir() else Path(job.scratch)) / f"tailrace-bench-{os.getpid()}.csv"
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    client = BlobClient.from_connection_string(job.connection_string, job.container, job.blob)
    select = job.select("read_parquet($parts)", details="to_json(details)")
    sql = f"COPY ({select} WHERE id >= $first) TO $target (FORMAT csv)"
    for line in sys.stdin:
        started = time.perf_counter()
        bound = {"parts": list(job.parts), "first": int(line), "target": str(path)}
        connection.execute(sql, bound)
        client.upload_blob(path.read_bytes(), overwrite=True)
        sys.stdout.write(json.dumps(time.perf_counter() - started) + "\n")
        sys.stdout.flush()
        path.unlink()


if __name__ == "__main__":
    main()
