"""Where ranges run: a few DuckDB instances side by side, each range one COPY into the ordered sink."""

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import duckdb

from engine.cancel import CancelToken
from engine.compile import compile_copy
from engine.errors import Cancelled, LimitExceeded, SourceDamaged
from engine.file_systems import PART, STAGE, PartFileSystem, StageFileSystem
from engine.framing import frame_of
from engine.ordered import OrderedSink
from engine.plan import ExportPlan
from engine.progress import Progress
from engine.ranges import Range
from engine.session import open_session
from engine.settings import DuckDBSettings
from engine.spill import TOO_LARGE
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

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Encoded bytes that may wait for the ranges before them."""


def run_ranges(
    plan: ExportPlan,
    store: ObjectStore,
    forward: Callable[[bytes], None],
    *,
    settings: DuckDBSettings,
    cancel: CancelToken,
    progress: Progress,
) -> int:
    """Write the file of a plan through ``forward``, in order, and return the number of its rows.

    Raises LimitExceeded, SourceDamaged, Cancelled, or whatever ``forward`` raised; bytes may have been forwarded then.
    """
    sink = OrderedSink(frame_of(plan), forward, count=len(plan.ranges), max_waiting_bytes=MAX_WAITING_BYTES)
    work = _Work(plan, store, sink, settings, cancel, progress)
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
        plan: ExportPlan,
        store: ObjectStore,
        sink: OrderedSink,
        settings: DuckDBSettings,
        cancel: CancelToken,
        progress: Progress,
    ) -> None:
        self._plan = plan
        self._store = store
        self._sink = sink
        self._settings = settings
        self._cancel = cancel
        self._progress = progress
        self._ranges = iter(plan.ranges)
        self._lock = Lock()
        self.workers = min(settings.threads, len(plan.ranges))

    def run(self) -> int:
        """Run ranges until none is left; returns the rows written by this worker."""
        # A single thread over its own range keeps order for free; a sort is one range and takes all threads.
        threads = self._settings.threads if self._plan.sort is not None else 1
        parts = PartFileSystem(
            self._store, {part.key: part for part in self._plan.run.parts}, self._plan.run.published_at
        )
        try:
            with (
                open_session(
                    self._settings,
                    threads=threads,
                    workers=self.workers,
                    allowed=self._allowed(),
                    file_systems=(StageFileSystem(self._sink), parts),
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
        while (range_ := self._next()) is not None:
            sources = [source_of(self._store, part.key) for part in range_.parts]
            statement = compile_copy(self._plan, range_, sources, target_of(range_.ordinal))
            written = connection.execute(statement.sql, statement.parameters).fetchone()
            self._cancel.raise_if_cancelled()
            if written:
                rows += written[0]
                self._progress.add_rows(written[0])
            self._sink.end(range_.ordinal)
        return rows

    def _next(self) -> Range | None:
        with self._lock:
            return None if self._sink.stopped else next(self._ranges, None)

    def _allowed(self) -> list[str]:
        sources = [source_of(self._store, part.key) for part in self._plan.run.parts]
        return sources + [target_of(range_.ordinal) for range_ in self._plan.ranges]

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
    return f"{PART}://{key}" if path is None else str(path.absolute())


def target_of(ordinal: int) -> str:
    """What DuckDB writes for a range."""
    return f"{STAGE}://{ordinal}"
