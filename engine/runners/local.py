"""Runs exports in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.common.cancellation import CancelToken
from engine.common.chunk import Chunk
from engine.common.progress import Progress
from engine.execute.duckdb_errors import CellTooLong
from engine.execute.executor import ExecutionContext, run_ranges
from engine.execute.instance_pool import InstancePool
from engine.execute.row_group_copy import copy_row_groups
from engine.execute.run_files import RunFiles
from engine.execute.warm_instances import WarmInstances
from engine.execute.xlsx.limits import check_rows, find_long_cell
from engine.plan.planner import ExportPlan
from engine.runners.port import Staged
from engine.settings import DuckDBSettings
from engine.stores.block_stream import COPYING_IN_FLIGHT, ENCODING_IN_FLIGHT, BlockStream
from engine.stores.port import ObjectStore


class LocalRunner:
    """Runs the ranges of a plan on parallel DuckDB instances, taken from ``instances`` if there is a pool."""

    def __init__(
        self,
        results: ObjectStore,
        exports: ObjectStore,
        settings: DuckDBSettings,
        instances: InstancePool | None = None,
    ) -> None:
        self._results = results
        self._exports = exports
        self._settings = settings
        self._instances = instances
        self._warm = None if instances is None else WarmInstances(instances, settings)

    @contextmanager
    def stage(self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress) -> Iterator[Staged]:
        """Implements `Runner.stage`."""
        max_in_flight = COPYING_IN_FLIGHT if plan.copies_row_groups else ENCODING_IN_FLIGHT
        content_type = plan.request.content_type
        with BlockStream(self._exports, key, content_type=content_type, max_in_flight=max_in_flight) as stream:
            rows = self._write(plan, stream, cancel, progress)
            # Staging the last blocks may take long, and the export can still be cancelled meanwhile.
            stream.flush()
            yield Staged(rows, stream.size, stream.sha256, stream.commit)

    def _write(self, plan: ExportPlan, stream: BlockStream, cancel: CancelToken, progress: Progress) -> int:
        def forward(data: Chunk) -> None:
            stream.append(data)
            progress.add_bytes(len(data))

        if plan.copies_row_groups:
            return copy_row_groups(plan, self._results, forward, cancel=cancel, progress=progress)
        files = RunFiles(self._results, plan.parts, plan.run.published_at)
        context = ExecutionContext(self._settings, cancel, progress, self._instances, self._warm)
        check_rows(plan, files, context)
        try:
            return run_ranges(plan, files, forward, context)
        except CellTooLong as error:
            raise find_long_cell(plan, files, context) from error
