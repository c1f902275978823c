"""The driver of a cluster's export: divides it into tasks, and joins the segments that they stage into one file.

The SHA-256 of a file cannot be computed from hashes of its segments. So each segment also comes here through the
cluster's memory, or is read back from the store, and is hashed in order while other tasks run. Beyond the size up to
which files get a SHA-256, tasks of a store that cannot read blocks back return only the checksums of what they staged.
"""

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import LimitExceeded
from engine.execute.assemblers import assembler_for
from engine.execute.row_group_copy import RowGroupCopy, copy_of
from engine.execute.run_files import RunFiles, target_of
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.runners.port import Staged
from engine.runners.ray.encode_task import RangesTask
from engine.runners.ray.joined_file import SegmentJoiner
from engine.runners.ray.messages import Job, Segment, versions
from engine.runners.ray.pool_port import ResultRef, TaskPool
from engine.runners.ray.sort.sampling import SORT_TASK_BYTES, SortScan
from engine.runners.ray.sort.shuffle import Shuffle
from engine.runners.ray.sort.shuffle_tasks import MergeTask
from engine.runners.ray.task_sizes import TASK_BYTES, group_by_size, parts_of, task_bytes
from engine.runners.ray.task_window import TaskWindow
from engine.settings import DuckDBSettings, megabytes
from engine.sql.statements import Statement, compile_copy, shared_parameters
from engine.stores.block_writer import OBJECT_TOO_LARGE, shared_block_tiers
from engine.stores.port import ObjectStore
from engine.stores.validation import MAX_BLOCKS

_SegmentTasks = Iterator[tuple[RangesTask | MergeTask, Sequence[ResultRef]]]

_SORT_MEGABYTES = 125
"""Memory of one task, at least, where an export may use as much at all: what a sort needs."""


@dataclass(frozen=True, slots=True)
class LocatedStore:
    """A store, and the location at which other processes open it."""

    location: str
    store: ObjectStore


class ClusterRunner:
    """Tasks of a pool stage the blocks of one upload, which is committed here.

    Each task reads at least ``min_task_bytes`` of Parquet; at most ``max_tasks`` of an export run at the same time.
    Files above ``max_hashed_bytes`` have no SHA-256.
    """

    def __init__(
        self,
        results: LocatedStore,
        exports: LocatedStore,
        settings: DuckDBSettings,
        pool: TaskPool,
        *,
        min_task_bytes: int | None = None,
        max_tasks: int | None = None,
        max_hashed_bytes: int = sys.maxsize,
    ) -> None:
        self._results = results
        self._exports = exports
        self._settings = settings
        self._pool = pool
        self._max_tasks = max_tasks
        self._max_hashed_bytes = max_hashed_bytes
        self._min_task_bytes = TASK_BYTES if min_task_bytes is None else min_task_bytes
        self._min_sort_task_bytes = SORT_TASK_BYTES if min_task_bytes is None else min_task_bytes

    @contextmanager
    def stage(self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress) -> Iterator[Staged]:
        """Implements `Runner.stage`. Raises ValueError for a plan that needs one process."""
        if plan.needs_one_process:
            raise ValueError("a cluster cannot write the file of this plan")
        limits = self._task_limits()
        upload = self._exports.store.begin(key, content_type=plan.request.content_type)
        try:
            if plan.sort is None:
                max_bytes = task_bytes(sum(range_.bytes for range_ in plan.scan_ranges), self._min_task_bytes)
                groups = list(group_by_size(plan.ranges, lambda range_: range_.bytes, max_bytes))
                session = self._pool.session(self._job(plan, key, upload.handle, limits, len(groups)))
                tasks: _SegmentTasks = self._tasks(plan, groups)
            else:
                shuffle = Shuffle(SortScan(plan, self._run_files(plan), min_task_bytes=self._min_sort_task_bytes))
                session = self._pool.session(self._job(plan, key, upload.handle, limits, shuffle.max_merges))
                tasks = shuffle.merge_tasks(session, cancel)
            assembler = assembler_for(plan.request.format.name, plan.request.compression)
            file = SegmentJoiner(upload, assembler, self._max_hashed_bytes)
            with closing(TaskWindow(session, cancel).results(_handing_over(tasks, file))) as results:
                for segment, _ in results:
                    _add(file, segment, progress)
            file.finish()
            if len(file.block_ids) > MAX_BLOCKS:
                raise LimitExceeded(OBJECT_TOO_LARGE)
            yield Staged(
                rows=file.rows,
                size=file.size,
                sha256=file.sha256,
                crc64nvme=file.crc64nvme,
                commit=lambda metadata: upload.commit(file.block_ids, metadata=metadata),
            )
        finally:
            upload.abort()

    def _tasks(self, plan: ExportPlan, groups: Sequence[Sequence[Range]]) -> _SegmentTasks:
        shared = shared_parameters(plan).keys()
        for number, ranges in enumerate(groups):
            statements = tuple(self._statement(plan, range_, target, shared) for target, range_ in enumerate(ranges))
            yield RangesTask(number == 0, parts_of(ranges), statements), ()

    def _statement(
        self, plan: ExportPlan, range_: Range, target: int, shared: Collection[str]
    ) -> Statement | RowGroupCopy:
        if range_.copied is not None:
            return copy_of(plan, range_)
        statement = compile_copy(plan, range_, self._run_files(plan).names(range_.parts), target_of(target))
        # The job carries the shared parameters once for all tasks.
        parameters = {name: value for name, value in statement.parameters.items() if name not in shared}
        return Statement(statement.sql, parameters)

    def _run_files(self, plan: ExportPlan) -> RunFiles:
        return RunFiles(self._results.store, plan.run.parts, plan.run.published_at)

    def _task_limits(self) -> DuckDBSettings:
        workers = self._settings.threads
        limits = {
            "threads": 1,
            # At least what a sort needs: the service's number of processors says nothing about the nodes.
            "memory_limit": _share(self._settings.memory_limit, workers, min_megabytes=_SORT_MEGABYTES),
            "spill_limit": _share(self._settings.spill_limit, workers),
            "spill_directory": self._settings.spill_directory.absolute(),
        }
        return self._settings.model_copy(update=limits)

    def _job(self, plan: ExportPlan, key: str, handle: str, limits: DuckDBSettings, tasks: int) -> Job:
        return Job(
            versions=versions(),
            results=self._results.location,
            exports=self._exports.location,
            key=key,
            handle=handle,
            format=plan.request.format.name,
            compression=plan.request.compression,
            bom=plan.request.csv.bom,
            parameters=shared_parameters(plan),
            published_at=plan.run.published_at,
            settings=limits,
            block_tiers=shared_block_tiers(tasks),
            max_tasks=self._max_tasks,
        )


def _handing_over(tasks: _SegmentTasks, file: SegmentJoiner) -> _SegmentTasks:
    """The tasks, each of which hands its bytes over if the file needs them when the task is submitted."""
    for task, inputs in tasks:
        yield replace(task, hand_over=file.needs_bytes), inputs


def _add(file: SegmentJoiner, segment: object, progress: Progress) -> None:
    if not isinstance(segment, Segment):
        raise TypeError(f"expected a Segment, got {type(segment).__name__}")
    file.add(segment)
    progress.add_rows(segment.rows)
    progress.add_bytes(sum(block.length for block in segment.blocks))


def _share(size: str, workers: int, *, min_megabytes: int = 1) -> str:
    total = megabytes(size)
    return f"{max(min(min_megabytes, total), total // workers)}MB"
