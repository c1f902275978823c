"""The ranges of an export on this machine, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.common.cancellation import CancelToken
from engine.common.chunk import Chunk
from engine.common.progress import Progress
from engine.execute.executor import ExecutionContext, run_ranges
from engine.execute.row_group_copy import copy_row_groups
from engine.execute.run_files import RunFiles
from engine.plan.planner import ExportPlan
from engine.runners.port import Staged
from engine.settings import DuckDBSettings
from engine.stores.block_stream import COPIED_AT_ONCE, ENCODED_AT_ONCE, BlockStream
from engine.stores.port import ObjectStore


class LocalRunner:
    """DuckDB instances side by side, their bytes brought into order and cut into blocks here."""

    def __init__(self, results: ObjectStore, exports: ObjectStore, settings: DuckDBSettings) -> None:
        self._results = results
        self._exports = exports
        self._settings = settings

    @contextmanager
    def stage(self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress) -> Iterator[Staged]:
        """Write the file of a plan; what the port promises."""
        at_once = COPIED_AT_ONCE if plan.copies_row_groups else ENCODED_AT_ONCE
        content_type = plan.request.format.content_type
        with BlockStream(self._exports, key, content_type=content_type, at_once=at_once) as stream:
            rows = self._write(plan, stream, cancel, progress)
            # The last blocks may take long, and a cancel counts until they are there.
            stream.flush()
            yield Staged(rows, stream.size, stream.sha256, stream.commit)

    def _write(self, plan: ExportPlan, stream: BlockStream, cancel: CancelToken, progress: Progress) -> int:
        def forward(data: Chunk) -> None:
            stream.append(data)
            progress.add_bytes(len(data))

        if plan.copies_row_groups:
            return copy_row_groups(plan, self._results, forward, cancel=cancel, progress=progress)
        files = RunFiles(self._results, plan.run.parts, plan.run.published_at)
        return run_ranges(plan, files, forward, ExecutionContext(self._settings, cancel, progress))
