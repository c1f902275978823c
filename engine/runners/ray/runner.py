"""The driver of a cluster's export: cuts it into tasks, and joins what they staged into one file.

The hash of a file is over its bytes in order, and cannot be put together from hashes of its parts. So the bytes of a
task come here through the cluster's memory, after they were staged, and are hashed in order while other tasks run.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import LimitExceeded
from engine.execute.file_assembler import assembler_for
from engine.execute.run_files import RunFiles, target_of
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.runners.port import Staged
from engine.runners.ray.encode_task import RangesTask
from engine.runners.ray.joined_file import JoinedFile
from engine.runners.ray.messages import Job, Piece, Task, versions
from engine.runners.ray.pool_port import Pool, Ticket
from engine.runners.ray.sort.sampling import SORT_TASK_BYTES, SortScan
from engine.runners.ray.sort.shuffle import Exchange
from engine.runners.ray.staged_blocks import block_sizes
from engine.runners.ray.task_sizes import TASK_BYTES, grouped, parts_of, task_bytes
from engine.runners.ray.task_window import Window
from engine.settings import DuckDBSettings, megabytes
from engine.sql.statements import Statement, compile_copy, shared_parameters
from engine.stores.block_stream import BEYOND_ONE_OBJECT
from engine.stores.port import ObjectStore
from engine.stores.validation import MAX_BLOCKS

_SORT_MEGABYTES = 125
"""What a sort wants in one task, if an export may have as much at all."""


@dataclass(frozen=True, slots=True)
class Place:
    """A store, and the location by which other processes open it."""

    location: str
    store: ObjectStore


class ClusterRunner:
    """Tasks of a pool stage blocks of one upload, which is committed here."""

    def __init__(
        self,
        results: Place,
        exports: Place,
        settings: DuckDBSettings,
        pool: Pool,
        *,
        least_bytes: int | None = None,
        tasks_at_once: int | None = None,
    ) -> None:
        self._results = results
        self._exports = exports
        self._settings = settings
        self._pool = pool
        self._tasks_at_once = tasks_at_once
        self._least_bytes = TASK_BYTES if least_bytes is None else least_bytes
        self._least_bytes_of_sort = SORT_TASK_BYTES if least_bytes is None else least_bytes

    @contextmanager
    def stage(self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress) -> Iterator[Staged]:
        """Write the file of a plan that encodes; what the port promises."""
        if plan.copies_row_groups:
            raise ValueError("what is only copied is no work for a cluster")
        limits = self._limits()
        upload = self._exports.store.begin(key, content_type=plan.request.format.content_type)
        try:
            if plan.sort is None:
                most = task_bytes(sum(range_.bytes for range_ in plan.scan_ranges), self._least_bytes)
                groups = list(grouped(plan.ranges, lambda range_: range_.bytes, most))
                session = self._pool.session(self._job(plan, key, upload.handle, limits, len(groups)))
                tasks = self._tasks(plan, groups)
            else:
                exchange = Exchange(SortScan(plan, self._source(plan), least_bytes=self._least_bytes_of_sort))
                session = self._pool.session(self._job(plan, key, upload.handle, limits, exchange.pieces))
                tasks = exchange.merges(session, cancel)
            file = JoinedFile(upload, assembler_for(plan.request.format.name))
            with closing(Window(session, cancel).results(tasks)) as results:
                for piece, _ in results:
                    _add(file, piece, progress)
            file.finish()
            if len(file.block_ids) > MAX_BLOCKS:
                raise LimitExceeded(BEYOND_ONE_OBJECT)
            yield Staged(
                file.rows, file.size, file.sha256, lambda metadata: upload.commit(file.block_ids, metadata=metadata)
            )
        finally:
            upload.abort()

    def _tasks(self, plan: ExportPlan, groups: Sequence[Sequence[Range]]) -> Iterator[tuple[Task, Sequence[Ticket]]]:
        shared = shared_parameters(plan).keys()
        for number, ranges in enumerate(groups):
            statements = tuple(self._statement(plan, range_, place, shared) for place, range_ in enumerate(ranges))
            yield RangesTask(number == 0, parts_of(ranges), statements), ()

    def _statement(self, plan: ExportPlan, range_: Range, place: int, shared: Collection[str]) -> Statement:
        statement = compile_copy(plan, range_, self._source(plan).names(range_.parts), target_of(place))
        own = {name: value for name, value in statement.parameters.items() if name not in shared}
        return Statement(statement.sql, own)

    def _source(self, plan: ExportPlan) -> RunFiles:
        return RunFiles(self._results.store, plan.run.parts, plan.run.published_at)

    def _limits(self) -> DuckDBSettings:
        """Those of one task."""
        at_once = self._settings.threads
        share = {
            "threads": 1,
            # However many processors the host of the service has: they are not those of the nodes.
            "memory_limit": _share(self._settings.memory_limit, at_once, least=_SORT_MEGABYTES),
            "spill_limit": _share(self._settings.spill_limit, at_once),
            "spill_directory": self._settings.spill_directory.absolute(),
        }
        return self._settings.model_copy(update=share)

    def _job(self, plan: ExportPlan, key: str, handle: str, limits: DuckDBSettings, tasks: int) -> Job:
        return Job(
            versions=versions(),
            results=self._results.location,
            exports=self._exports.location,
            key=key,
            handle=handle,
            format=plan.request.format.name,
            bom=plan.request.csv.bom,
            parameters=shared_parameters(plan),
            published_at=plan.run.published_at,
            settings=limits,
            block_sizes=block_sizes(tasks),
            tasks_at_once=self._tasks_at_once,
        )


def _add(file: JoinedFile, piece: object, progress: Progress) -> None:
    if not isinstance(piece, Piece):
        raise TypeError("a task that stages gives a piece")
    file.add(piece)
    progress.add_rows(piece.rows)
    progress.add_bytes(sum(block.length for block in piece.blocks))


def _share(size: str, by: int, *, least: int = 1) -> str:
    whole = megabytes(size)
    return f"{max(min(least, whole), whole // by)}MB"
