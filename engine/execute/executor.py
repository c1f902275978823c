"""Where ranges run: a few DuckDB instances side by side, each range one COPY into the ordered sink."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from threading import Lock

import duckdb
from fsspec import AbstractFileSystem

from engine.catalog.manifest import Part
from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.common.table_functions import exact_path
from engine.errors import Cancelled, LimitExceeded, SourceDamaged
from engine.execute.fifo import Pipe, open_pipe
from engine.execute.filesystems import PART, STAGE, PartFileSystem, StageFileSystem
from engine.execute.framing import Chunk, Frame, frame_of
from engine.execute.ordered_sink import OrderedSink
from engine.execute.session import open_session
from engine.execute.spill_limit import TOO_LARGE
from engine.plan.planner import ExportPlan
from engine.settings import DuckDBSettings
from engine.sql.statements import Statement, compile_copy
from engine.stores.port import ObjectStore

_DISK_FULL = os.strerror(errno.ENOSPC)
_UNREADABLE = (
    duckdb.IOException,
    duckdb.InvalidInputException,
    # A part whose file is gone is asked for as a folder, which the fence refuses.
    duckdb.PermissionException,
    # A column of the manifest that the part has not, or of another type.
    duckdb.BinderException,
)
"""What DuckDB raises for a part that is damaged; beside its bare Error, which is all that it says of a bad footer."""

_WAITING_BYTES = 16 * 1024 * 1024
_MOST_WAITING_BYTES = 64 * 1024 * 1024


def waiting_bytes(workers: int) -> int:
    """How many encoded bytes may wait for the ranges before them: so many for each worker that is not the first."""
    return min(_MOST_WAITING_BYTES, _WAITING_BYTES * max(1, workers - 1))


@dataclass(frozen=True, slots=True)
class Source:
    """Parts of one run: where they are read, which they are, and when they were published."""

    store: ObjectStore
    parts: Sequence[Part]
    published_at: datetime

    def names(self, parts: Sequence[Part]) -> list[str]:
        """What DuckDB opens for these parts."""
        return [source_of(self.store, part.key) for part in parts]

    def file_system(self) -> PartFileSystem:
        """The parts as DuckDB sees them where they are no files."""
        return PartFileSystem(self.store, {part.key: part for part in self.parts}, self.published_at)


def run_ranges(
    plan: ExportPlan,
    store: ObjectStore,
    forward: Callable[[Chunk], None],
    *,
    settings: DuckDBSettings,
    cancel: CancelToken,
    progress: Progress,
) -> int:
    """Write the file of a plan through ``forward``, in order, and return the number of its rows.

    Raises LimitExceeded, SourceDamaged, Cancelled, or whatever ``forward`` raised; bytes may have been forwarded then.
    """
    source = Source(store, plan.run.parts, plan.run.published_at)
    # A single thread over its own range keeps order for free; a sort is one range and takes all threads.
    threads = settings.threads if plan.sort is not None else 1
    # Several threads hand over a batch in one piece, with which a file system of ours would hold Python's lock.
    with open_pipe(settings.spill_directory) if threads > 1 else nullcontext() as pipe:
        statements = (
            compile_copy(plan, range_, source.names(range_.parts), _target(range_.ordinal, pipe))
            for range_ in plan.ranges
        )
        return run_statements(
            statements,
            len(plan.ranges),
            source,
            frame_of(plan),
            forward,
            settings=settings,
            threads=threads,
            cancel=cancel,
            progress=progress,
            pipe=pipe,
        )


def _target(ordinal: int, pipe: Pipe | None) -> str:
    return target_of(ordinal) if pipe is None else str(pipe.path)


def run_statements(
    statements: Iterable[Statement],
    count: int,
    source: Source,
    frame: Frame,
    forward: Callable[[Chunk], None],
    *,
    settings: DuckDBSettings,
    threads: int,
    cancel: CancelToken,
    progress: Progress,
    others: Sequence[AbstractFileSystem] = (),
    allowed: Sequence[str] = (),
    pipe: Pipe | None = None,
) -> int:
    """Run ``count`` COPYs, the n-th into ``target_of(n)``, side by side on instances of ``threads`` threads each.

    If there is a ``pipe``, there is one COPY, and that is its target. They read the source's parts, and what ``others``
    have of the names that are ``allowed``. Returns the rows written; raises what `run_ranges` raises.
    """
    most = waiting_bytes(min(settings.threads, count))
    sink = OrderedSink(frame, forward, count=count, max_waiting_bytes=most)
    work = _Work(iter(statements), count, source, sink, settings, threads, cancel, progress, others, allowed, pipe)
    if work.workers == 1:
        return work.run()
    with ThreadPoolExecutor(work.workers, thread_name_prefix="range") as pool:
        futures = [pool.submit(work.run) for _ in range(work.workers)]
        errors = [error for future in futures if (error := future.exception()) is not None]
    if sink.stopped is not None:
        raise sink.stopped
    if errors:
        raise errors[0]
    return sum(future.result() for future in futures)


class _Work:
    """The ranges of one export, taken in order by its workers."""

    def __init__(
        self,
        statements: Iterator[Statement],
        count: int,
        source: Source,
        sink: OrderedSink,
        settings: DuckDBSettings,
        threads: int,
        cancel: CancelToken,
        progress: Progress,
        others: Sequence[AbstractFileSystem],
        allowed: Sequence[str],
        pipe: Pipe | None,
    ) -> None:
        self._statements = enumerate(statements)
        self._source = source
        self._sink = sink
        self._settings = settings
        self._threads = threads
        self._cancel = cancel
        self._progress = progress
        self._others = others
        self._pipe = pipe
        targets = [_target(ordinal, pipe) for ordinal in range(count)]
        self._allowed = [*source.names(source.parts), *allowed, *targets]
        self._lock = Lock()
        self.workers = min(settings.threads, count)

    def run(self) -> int:
        """Run ranges until none is left; returns the rows written by this worker."""
        parts = self._source.file_system()
        try:
            with (
                open_session(
                    self._settings,
                    threads=self._threads,
                    workers=self.workers,
                    allowed=self._allowed,
                    file_systems=(StageFileSystem(self._sink), parts, *self._others),
                ) as connection,
                self._cancel.watching(connection),
            ):
                return self._run(connection)
        except duckdb.Error as error:
            raise self._stop(self._told(error, parts)) from error
        except BaseException as error:
            # Whatever it is, no worker may wait for a range that will never end.
            self._stop(error)
            raise

    def _run(self, connection: duckdb.DuckDBPyConnection) -> int:
        rows = 0
        while (found := self._next()) is not None:
            ordinal, statement = found
            with nullcontext() if self._pipe is None else self._pipe.drained(partial(self._take, ordinal)):
                written = connection.execute(statement.sql, statement.parameters).fetchone()
            self._cancel.raise_if_cancelled()
            if self._sink.stopped is not None:
                # DuckDB may have written the last bytes before the pipe broke.
                raise self._sink.stopped
            if written:
                rows += written[0]
                self._progress.add_rows(written[0])
            self._sink.end(ordinal)
        return rows

    def _take(self, ordinal: int, data: bytes) -> None:
        try:
            self._sink.write(ordinal, data)
        except Exception as error:
            self._sink.stop(error)
            raise

    def _next(self) -> tuple[int, Statement] | None:
        with self._lock:
            return None if self._sink.stopped else next(self._statements, None)

    def _stop(self, error: BaseException) -> BaseException:
        """Stop the other workers; the first failure of all is the one to tell."""
        self._sink.stop(error)
        return self._sink.stopped or error

    def _told(self, error: duckdb.Error, parts: PartFileSystem) -> BaseException:
        return self._sink.stopped or failure_of(error, parts, self._cancel)


def failure_of(error: duckdb.Error, parts: PartFileSystem, cancel: CancelToken) -> BaseException:
    """What a failure of DuckDB means; what is no failure of the caller, the store or a limit stays as it is."""
    if parts.failure is not None:
        return parts.failure
    if cancel.cancelled:
        return Cancelled("The export was cancelled.")
    # All that it writes to a disk itself is what it spills.
    if isinstance(error, duckdb.OutOfMemoryException) or _DISK_FULL in str(error):
        return LimitExceeded(TOO_LARGE)
    if isinstance(error, _UNREADABLE) or type(error) is duckdb.Error:
        return SourceDamaged("A part of the run cannot be read.")
    return error


def source_of(store: ObjectStore, key: str) -> str:
    """What DuckDB opens for a part: its path, or a URL that leads to the store."""
    path = store.local_path(key)
    return f"{PART}://{key}" if path is None else exact_path(path)


def target_of(ordinal: int) -> str:
    """What DuckDB writes for a range."""
    return f"{STAGE}://{ordinal}"
