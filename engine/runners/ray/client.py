"""The cluster's runner as the service sees it: exports that another process drives, which may die without harm."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection

from engine.catalog.manifest import Part, RowGroup
from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import ClusterUnavailable
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.runners.port import Staged
from engine.runners.ray.driver import Order, Told
from engine.runners.ray.driver_process import DIED, Driver
from engine.runners.ray.worker import error_of
from engine.settings import DuckDBSettings, StorageSettings
from engine.stores import located
from engine.stores.port import ObjectInfo, ObjectStore

_LOOK_SECONDS = 0.2
_END_SECONDS = 20


class DrivenRunner:
    """Each export is an order to one driver, by a connection of its own."""

    def __init__(
        self,
        driver: Driver,
        exports: ObjectStore,
        storage: StorageSettings,
        settings: DuckDBSettings,
        *,
        least_bytes: int | None = None,
        tasks_at_once: int | None = None,
    ) -> None:
        self._driver = driver
        self._exports = exports
        self._storage = storage
        self._settings = settings
        self._least_bytes = least_bytes
        self._tasks_at_once = tasks_at_once

    @contextmanager
    def stage(self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress) -> Iterator[Staged]:
        """Write the file of a plan; what the port promises."""
        with self._driver.connected() as connection, closing(_Talk(connection)) as talk:
            talk.say(self._order(plan, key))
            rows, size, sha256 = talk.staged(cancel, progress)

            def commit(metadata: Mapping[str, str]) -> ObjectInfo:
                talk.say(dict(metadata))
                try:
                    return talk.committed()
                except ClusterUnavailable:
                    # The driver may have died behind the commit. Equal requests give equal bytes, whoever wrote them.
                    info = self._exports.head(key)
                    if info is None:
                        raise
                    return info

            yield Staged(rows, size, sha256, commit)

    def _order(self, plan: ExportPlan, key: str) -> Order:
        storage = self._storage
        return Order(
            plan=without_bounds(plan),
            key=key,
            results=located(storage.results),
            exports=located(storage.exports),
            connection_string=storage.azure_connection_string,
            account_url=storage.azure_account_url,
            settings=self._settings,
            least_bytes=self._least_bytes,
            tasks_at_once=self._tasks_at_once,
        )


def without_bounds(plan: ExportPlan) -> ExportPlan:
    """A plan that was pruned already: most of a manifest are bounds, which its driver has no use for."""
    parts = {part.key: _without_bounds(part) for part in plan.run.parts}

    def lean(ranges: Sequence[Range]) -> tuple[Range, ...]:
        return tuple(
            replace(one, parts=tuple(parts[part.key] for part in one.parts), subranges=lean(one.subranges))
            for one in ranges
        )

    run = plan.run.model_copy(update={"parts": tuple(parts.values())})
    scan = lean(plan.scan_ranges)
    ranges = scan if plan.ranges is plan.scan_ranges else lean(plan.ranges)
    return replace(plan, run=run, row_group_mask=(), ranges=ranges, scan_ranges=scan)


def _without_bounds(part: Part) -> Part:
    # Without the checks, which were made when the manifest was read: there may be millions.
    groups = (RowGroup.model_construct(rows=one.rows, bytes=one.bytes, statistics={}) for one in part.row_groups)
    return part.model_copy(update={"row_groups": tuple(groups), "row_id_filters": None})


class _Talk:
    """What is said of one export. Raises what the driver failed with, or ClusterUnavailable if it died."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._over = False

    def say(self, word: object) -> None:
        """The next word to the driver."""
        try:
            self._connection.send(word)
        except OSError as error:
            raise ClusterUnavailable(DIED) from error

    def staged(self, cancel: CancelToken, progress: Progress) -> tuple[int, int, str]:
        """Rows, bytes and hash of the file, once it is whole. Raises Cancelled."""
        while True:
            # Between any two words: on a large cluster there is always one.
            cancel.raise_if_cancelled()
            told = self._next(_LOOK_SECONDS)
            if told is None:
                continue
            if told.staged is not None:
                return told.staged
            progress.add_rows(told.rows - progress.rows)
            progress.add_bytes(told.bytes - progress.bytes)

    def committed(self) -> ObjectInfo:
        """The object, once it is visible: what is asked for by then is not taken back."""
        told = self._next(None)
        if told is None or told.committed is None:
            raise ClusterUnavailable(DIED)
        return told.committed

    def close(self) -> None:
        """Nothing more is wanted: wait until the driver has removed what was staged."""
        with self._connection:
            try:
                self._connection.send(None)
                deadline = time.monotonic() + _END_SECONDS
                while not self._over and self._connection.poll(max(0, deadline - time.monotonic())):
                    self._hear()
            except (EOFError, OSError):
                return

    def _next(self, seconds: float | None) -> Told | None:
        """The next word of the driver; None if there is none for so long."""
        try:
            if not self._connection.poll(seconds):
                return None
            told = self._hear()
        except (EOFError, OSError) as error:
            raise ClusterUnavailable(DIED) from error
        if told.failure is not None:
            raise error_of(told.failure)
        return told

    def _hear(self) -> Told:
        told: Told = self._connection.recv()
        self._over = told.failure is not None or told.committed is not None
        return told
