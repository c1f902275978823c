"""Polars ``sink_csv``, ``sink_ndjson`` and ``sink_parquet`` to ``az://``, in the streaming engine."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tests.bench.job import COLUMNS, Job, run

_SINKS = {"csv": "sink_csv", "json": "sink_ndjson", "parquet": "sink_parquet"}


def prepare(job: Job) -> Callable[[], None]:
    """Build the lazy frame; CSV has no nested columns, so they become JSON text."""
    # By name, since only the environment of the peers is sure to have it.
    pl: Any = import_module("polars")
    frame = pl.scan_parquet(list(job.parts)).select(COLUMNS)
    if job.ids is not None:
        frame = frame.filter(pl.col("id").is_in(list(job.ids)))
    if job.between is not None:
        column, low, high = job.between
        frame = frame.filter((pl.col(column) >= low) & (pl.col(column) <= high))
    if job.sort:
        frame = frame.sort(job.sort)
    if job.format == "csv":
        frame = frame.with_columns(pl.col("details").struct.json_encode())
    options = {
        "account_name": job.account,
        "account_key": job.key,
        "azure_storage_endpoint": job.endpoint,
        "allow_http": "true",
    }

    def work() -> None:
        getattr(frame, _SINKS[job.format])(f"az://{job.container}/{job.blob}", storage_options=options)

    return work


if __name__ == "__main__":
    run(prepare)
