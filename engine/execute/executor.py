"""Runs the ranges of a plan on a few DuckDB instances in parallel: each range is one COPY into the ordered sink."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock

import duckdb

from engine.common.cancellation import CancelToken
from engine.common.chunk import Chunk
from engine.common.progress import Progress
from engine.execute.assemblers import assembler_for
from engine.execute.compression import CompressingSink, compressing
from engine.execute.duckdb_errors import export_error
from engine.execute.fifo import Pipe, open_pipe
from engine.execute.file_assembler import FileAssembler
from engine.execute.filesystems import PartFileSystem, StageFileSystem
from engine.execute.instance_pool import InstancePool
from engine.execute.ordered_sink import OrderedSink
from engine.execute.row_group_copy import RowGroupCopy, copy_of
from engine.execute.run_files import RunFiles, target_of
from engine.execute.session import open_session
from engine.execute.warm_instances import WarmInstances
from engine.execute.xlsx.workbook import WorkbookAssembler
from engine.plan.planner import ExportPlan
from engine.plan.ranges import TARGET_BYTES
from engine.settings import DuckDBSettings
from engine.sql.statements import Statement, compile_copy

_WAITING_BYTES = 16 * 1024 * 1024
_MAX_WAITING_BYTES = 64 * 1024 * 1024


def waiting_bytes(workers: int) -> int:
    """Encoded bytes that may wait for the ranges before them: 16 MiB for each worker but the first, at most 64 MiB."""
    return min(_MAX_WAITING_BYTES, _WAITING_BYTES * max(1, workers - 1))


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """The limits of an execution, its cancel token, and its progress.

    Sessions use ``instances`` if there are any, and small exports ``warm`` ones.
    """

    settings: DuckDBSettings
    cancel: CancelToken
    progress: Progress
    instances: InstancePool | None = None
    warm: WarmInstances | None = None


@dataclass(frozen=True, slots=True)
class Copies:
    """``count`` COPY statements, each made just before it runs; the n-th writes to ``target_of(n)``.

    In place of a statement may be a copy of row groups.
    """

    count: int
    statement: Callable[[int], Statement | RowGroupCopy]


def run_ranges(plan: ExportPlan, files: RunFiles, forward: Callable[[Chunk], None], context: ExecutionContext) -> int:
    """Write the file of a plan through ``forward``, in order, and return the number of its rows.

    Raises LimitExceeded, SourceDamaged, Cancelled, CellTooLong, or whatever ``forward`` raised; bytes may have been
    forwarded then.
    """
    if context.warm is not None and is_small(plan):
        files = replace(files, through_store=True, at_once=_parts_read_at_once(plan))
    else:
        context = replace(context, warm=None)
    if plan.bounds_memory and plan.has_wide_rows:
        # DuckDB writes 2,048 rows at a time, and each instance keeps the memory for the JSON of such rows.
        context = replace(context, settings=context.settings.model_copy(update={"threads": 1}))
    # A single thread preserves the order of its range at no cost; a sort is one range that uses all threads.
    threads = context.settings.threads if plan.sort is not None else 1
    # Several threads write a batch at once, during which a Python file system would hold the interpreter lock.
    with open_pipe(context.settings.spill_directory) if threads > 1 else nullcontext() as pipe:

        def copy(ordinal: int) -> Statement | RowGroupCopy:
            range_ = plan.ranges[ordinal]
            if range_.copied is not None:
                return copy_of(plan, range_)
            return compile_copy(plan, range_, files.names(range_.parts), _target(ordinal, pipe))

        copies = Copies(len(plan.ranges), copy)
        return run_copies(copies, files, _assembler(plan), forward, context, threads=threads, pipe=pipe)


def is_small(plan: ExportPlan) -> bool:
    """Whether an export reads so little that one warm instance makes it at once.

    It does not spill, so neither sorts nor comparisons of two runs are small. Callers' SQL has its own process.
    """
    streams = plan.sort is None and plan.previous is None and plan.request.statement is None
    return streams and sum(range_.bytes for range_ in plan.ranges) <= TARGET_BYTES


def _parts_read_at_once(plan: ExportPlan) -> frozenset[str]:
    """The parts of a small export, unless most of their bytes are row groups that it does not read."""
    parts = {part.key: part for range_ in plan.ranges for part in range_.parts}
    return frozenset(parts) if sum(part.bytes for part in parts.values()) <= TARGET_BYTES else frozenset()


def _assembler(plan: ExportPlan) -> FileAssembler:
    if len(plan.ranges) == 1 and plan.request.format.name == "parquet":
        # The file that DuckDB writes is the export.
        return FileAssembler()
    if plan.request.format.name == "xlsx":
        return WorkbookAssembler(plan.fields)
    return assembler_for(plan.request.format.name, plan.request.compression, bom=plan.request.csv.bom)


def _target(ordinal: int, pipe: Pipe | None) -> str:
    return target_of(ordinal) if pipe is None else str(pipe.path)


def run_copies(
    copies: Copies,
    files: RunFiles,
    assembler: FileAssembler,
    forward: Callable[[Chunk], None],
    context: ExecutionContext,
    *,
    threads: int = 1,
    pipe: Pipe | None = None,
) -> int:
    """Run COPYs in parallel on instances of ``threads`` threads each, and return the number of rows written.

    A ``pipe`` is the target of a single COPY. Raises what `run_ranges` raises.
    """
    workers = 1 if context.warm is not None else min(context.settings.threads, copies.count)
    ordered = OrderedSink(assembler, forward, count=copies.count, max_waiting_bytes=waiting_bytes(workers))
    sink = compressing(ordered)
    queue = _CopyQueue(copies, files, sink, context, workers=workers, threads=threads, pipe=pipe)
    if workers == 1:
        return queue.run()
    with ThreadPoolExecutor(workers, thread_name_prefix="range") as pool:
        futures = [pool.submit(queue.run) for _ in range(workers)]
        errors = [error for future in futures if (error := future.exception()) is not None]
    if sink.failure is not None:
        raise sink.failure
    if errors:
        raise errors[0]
    return sum(future.result() for future in futures)


class _CopyQueue:
    """The COPYs of one export, which its workers run in order."""

    def __init__(
        self,
        copies: Copies,
        files: RunFiles,
        sink: OrderedSink | CompressingSink,
        context: ExecutionContext,
        *,
        workers: int,
        threads: int,
        pipe: Pipe | None,
    ) -> None:
        self._copies = copies
        self._next_ordinal = 0
        self._files = files
        self._sink = sink
        self._context = context
        self._workers = workers
        self._threads = threads
        self._pipe = pipe
        self._allowed = [*files.allowed, *(_target(ordinal, pipe) for ordinal in range(copies.count))]
        self._lock = Lock()

    def run(self) -> int:
        """Run COPYs until none is left, and return the number of rows that this worker wrote."""
        parts = self._files.file_system()
        try:
            with (
                self._session(StageFileSystem(self._sink), parts) as connection,
                self._context.cancel.watching(connection),
            ):
                return self._run(connection)
        except duckdb.Error as error:
            raise self._fail(self._translated(error, parts)) from error
        except BaseException as error:
            # No other worker may wait for a range that will never end.
            self._fail(error)
            raise

    def _session(
        self, stage: StageFileSystem, parts: PartFileSystem
    ) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        if self._context.warm is not None:
            return self._context.warm.session(stage, parts, self._allowed)
        return open_session(
            self._context.settings,
            threads=self._threads,
            workers=self._workers,
            allowed=self._allowed,
            file_systems=(stage, parts, *self._files.others),
            instances=self._context.instances,
        )

    def _run(self, connection: duckdb.DuckDBPyConnection) -> int:
        rows = 0
        while (ordinal := self._next()) is not None:
            written = self._execute(connection, ordinal)
            self._context.cancel.raise_if_cancelled()
            if self._sink.failure is not None:
                # DuckDB may have written its last bytes before the reading end of the pipe was closed.
                raise self._sink.failure
            rows += written
            self._context.progress.add_rows(written)
            self._sink.end(ordinal)
        return rows

    def _execute(self, connection: duckdb.DuckDBPyConnection, ordinal: int) -> int:
        statement, write = self._copies.statement(ordinal), partial(self._write, ordinal)
        if isinstance(statement, RowGroupCopy):
            return statement.write(self._files.store, write, self._context.cancel)
        with nullcontext() if self._pipe is None else self._pipe.draining(write):
            written = statement.execute(connection).fetchone()
        return written[0] if written else 0

    def _write(self, ordinal: int, data: bytes) -> None:
        try:
            self._sink.write(ordinal, data)
        except Exception as error:
            self._sink.fail(error)
            raise

    def _next(self) -> int | None:
        with self._lock:
            if self._sink.failure is not None or self._next_ordinal == self._copies.count:
                return None
            self._next_ordinal += 1
            return self._next_ordinal - 1

    def _fail(self, error: BaseException) -> BaseException:
        """Stop the other workers, and return the first failure of all, which is the one to raise."""
        self._sink.fail(error)
        return self._sink.failure or error

    def _translated(self, error: duckdb.Error, parts: PartFileSystem) -> BaseException:
        return self._sink.failure or export_error(error, parts, self._context.cancel)
