"""Runs exports in this process."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from engine.catalog.manifest import RunObject
from engine.common.cancellation import CancelToken
from engine.common.chunk import Chunk
from engine.common.progress import Progress
from engine.errors import StoreError
from engine.execute.duckdb_errors import CellTooLong
from engine.execute.executor import ExecutionContext, run_ranges
from engine.execute.instance_pool import InstancePool
from engine.execute.row_group_copy import MergedFile, merge_plan, reader_of
from engine.execute.run_files import RunFiles
from engine.execute.warm_instances import WarmInstances
from engine.execute.xlsx.limits import check_rows, find_long_cell
from engine.parquet.footer_merge import MAGIC
from engine.plan.planner import ExportPlan
from engine.runners.bucket_sort import can_sort_in_buckets, sort_in_buckets
from engine.runners.port import Staged
from engine.settings import DuckDBSettings
from engine.stores.block_stream import COPYING_IN_FLIGHT, ENCODING_IN_FLIGHT, BlockStream
from engine.stores.composition import Composition, is_worthwhile
from engine.stores.documents import LOG
from engine.stores.port import CopySource, ObjectStore


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
        merged = merge_plan(plan, self._results) if plan.copies_row_groups else None
        with ExitStack() as stack:
            staged = None if merged is None else self._composed(plan, merged, key, stack, cancel, progress)
            if staged is None:
                max_in_flight = ENCODING_IN_FLIGHT if merged is None else COPYING_IN_FLIGHT
                stream = stack.enter_context(
                    BlockStream(self._exports, key, content_type=plan.request.content_type, max_in_flight=max_in_flight)
                )
                rows = self._write(plan, merged, stream, cancel, progress)
                # Staging the last blocks may take long, and the export can still be cancelled meanwhile.
                stream.flush()
                staged = Staged(rows, stream.size, stream.sha256, stream.commit)
            yield staged

    def _composed(
        self,
        plan: ExportPlan,
        merged: MergedFile,
        key: str,
        stack: ExitStack,
        cancel: CancelToken,
        progress: Progress,
    ) -> Staged | None:
        """The file, which the store has made of the parts itself; None if it cannot, or if the hash is unknown.

        If it fails, that is logged: reading the parts tells whether they are there.
        """
        whole = plan.run.whole_file
        pieces = merged.pieces
        if whole is None or merged.recipe != whole.recipe or not is_worthwhile(merged.size, len(pieces)):
            return None
        try:
            sources = self._sources(plan.run.parts)
            if not sources:
                return None
            with ExitStack() as attempt:
                composition = attempt.enter_context(
                    Composition(self._exports, key, content_type=plan.request.content_type)
                )
                composition.append(MAGIC)
                for (part, piece), md5 in zip(pieces, whole.md5, strict=True):
                    cancel.raise_if_cancelled()
                    composition.copy(sources[part.key], piece.start, piece.length, base64.b64decode(md5))
                    progress.add_bytes(piece.length)
                composition.append(merged.footer)
                composition.flush()
                progress.add_bytes(merged.size - progress.bytes)
                progress.add_rows(merged.rows)
                stack.enter_context(attempt.pop_all())
        except StoreError as error:
            LOG.warning("The store cannot copy the parts of a run, so the service does: %s", error.message)
            progress.add_bytes(-progress.bytes)
            return None
        return Staged(merged.rows, merged.size, whole.sha256, composition.commit)

    def _sources(self, parts: Sequence[RunObject]) -> dict[str, CopySource]:
        """The parts by key, for the store of exports; none if it cannot copy them."""
        sources = ((part.key, self._results.copy_source(part.key, etag=part.etag)) for part in parts)
        return {key: source for key, source in sources if source is not None and self._exports.can_copy(source)}

    def _write(
        self, plan: ExportPlan, merged: MergedFile | None, stream: BlockStream, cancel: CancelToken, progress: Progress
    ) -> int:
        def forward(data: Chunk) -> None:
            stream.append(data)
            progress.add_bytes(len(data))

        if merged is not None:
            return merged.write(reader_of(self._results), forward, cancel, progress)
        files = RunFiles(self._results, plan.parts, plan.run.published_at)
        context = ExecutionContext(self._settings, cancel, progress, self._instances, self._warm)
        check_rows(plan, files, context)
        if plan.bounds_memory and can_sort_in_buckets(plan):
            return sort_in_buckets(plan, files, forward, context)
        try:
            return run_ranges(plan, files, forward, context)
        except CellTooLong as error:
            raise find_long_cell(plan, files, context) from error
