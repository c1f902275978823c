"""Our own export as one measured process: what the service does for a request, without HTTP."""

import atexit
import time
from collections.abc import Callable
from pathlib import Path

from engine.catalog.catalog import ResultStore
from engine.common.cancellation import CancelToken
from engine.execute.instance_pool import InstancePool
from engine.execute.session import open_instance
from engine.exports.exporter import Exporter
from engine.request.formats import COMPRESSIONS, FORMATS
from engine.request.request import ExportRequest, read_filters, read_row_ids
from engine.runners import LocalRunner
from engine.settings import DuckDBSettings
from engine.stores import ObjectStore, open_store
from tests.bench.job import Job, run, without_pandas
from tests.helpers.server import TEAM

without_pandas()

ROW_ID_DIGITS = 12
"""Row ids that publishing makes are the number of the row with this many digits."""


def prepare(job: Job) -> Callable[[], None]:
    """Open the stores, and an instance pool like that of a service."""
    instances = InstancePool(open_instance)
    running = instances.running()
    running.__enter__()
    atexit.register(running.__exit__, None, None, None)
    while instances.ready < instances.size:
        time.sleep(0.001)
    # By itself the store would take the ideal store for the emulator, whose account it has.
    exports = open_store(job.exports, connection_string=job.connection_string, checksum="crc64")
    return export_into(exports, job, instances)


def export_into(exports: ObjectStore, job: Job, instances: InstancePool | None = None) -> Callable[[], None]:
    """The export of a job into a store."""
    settings = DuckDBSettings(spill_directory=Path(job.scratch) / "spill")
    results = ResultStore(open_store(job.results, connection_string=job.connection_string or None))
    request = request_of(job)

    def work() -> None:
        runner = LocalRunner(results.store, exports, settings, instances)
        exporter = Exporter(results, exports, settings, runner=runner)
        exporter.export(exporter.plan(request, TEAM), CancelToken())

    return work


def request_of(job: Job) -> ExportRequest:
    """The job as the engine's callers ask for it."""
    return ExportRequest(
        workflow=job.workflow,
        format=FORMATS[job.format],
        compression=COMPRESSIONS[job.compression],
        filters=read_filters(filters_of(job)),
        sort_by=job.sort,
        since_run=job.since,
        row_ids=None if job.ids is None else read_row_ids([row_id(number) for number in job.ids]),
    )


def filters_of(job: Job) -> list[dict[str, object]]:
    """The filters of a job as JSON values."""
    if job.between is None:
        return []
    column, low, high = job.between
    return [
        {"field": column, "operator": "GREATER_THAN_OR_EQUAL", "value": low},
        {"field": column, "operator": "LESS_THAN_OR_EQUAL", "value": high},
    ]


def row_id(number: int) -> str:
    """The id of a row by its number."""
    return str(number).zfill(ROW_ID_DIGITS)


if __name__ == "__main__":
    run(prepare)
