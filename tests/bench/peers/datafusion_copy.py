"""DataFusion ``COPY ... TO 'az://...'`` with its object store registered."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench.job import Job, run

_STORED_AS = {"csv": "CSV", "json": "JSON", "parquet": "PARQUET"}
_DETAILS_AS_TEXT = "concat(details['color'], ' ', array_to_string(details['tags'], '|'), ' ', details['grams'])"
"""Its CSV has no nested columns, and it has no function that makes JSON."""


def prepare(job: Job) -> Callable[[], None]:
    """Open a context that may spill to the disk."""
    # Where its emulator mode looks for the emulator.
    os.environ["AZURITE_BLOB_STORAGE_URL"] = job.endpoint.rsplit("/", 1)[0]
    # By name, since only the environment of the peers has it.
    datafusion: Any = import_module("datafusion")
    stores: Any = import_module("datafusion.object_store")
    runtime = datafusion.RuntimeEnvBuilder().with_disk_manager_os()
    # Off by default, and documented as what spares it decoding rows that a filter drops.
    config = datafusion.SessionConfig().set("datafusion.execution.parquet.pushdown_filters", "true")
    context = datafusion.SessionContext(config, runtime)
    store = stores.MicrosoftAzure(
        job.container, account=job.account, access_key=job.key, use_emulator=True, allow_http=True
    )
    context.register_object_store("az://", store, job.container)
    context.register_parquet("run", str(Path(job.parts[0]).parent))
    select = job.select("run", details=_DETAILS_AS_TEXT if job.format == "csv" else "details")
    options = " OPTIONS ('format.compression' 'zstd(3)')" if job.format == "parquet" else ""
    # The extension of the name tells it to write one file.
    target = f"az://{job.container}/{job.blob}.{job.format}"

    def work() -> None:
        context.sql(f"COPY ({select}) TO '{target}' STORED AS {_STORED_AS[job.format]}{options}").collect()

    return work


if __name__ == "__main__":
    run(prepare)
