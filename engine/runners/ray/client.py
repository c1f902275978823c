"""The service's side of an export on a cluster: another process drives it, and may die without harm."""

import sys
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
from engine.runners.ray.driver import DriverReply, DriverRequest
from engine.runners.ray.driver_process import DRIVER_DIED, Driver
from engine.runners.ray.worker import error_of
from engine.settings import DuckDBSettings, StorageSettings
from engine.stores import absolute_location
from engine.stores.port import ObjectInfo, ObjectStore

_POLL_INTERVAL_SECONDS = 0.2
_CLOSE_TIMEOUT_SECONDS = 20


class RayClientRunner:
    """Sends each export to one driver process, over a separate connection."""

    def __init__(
        self,
        driver: Driver,
        exports: ObjectStore,
        storage: StorageSettings,
        settings: DuckDBSettings,
        *,
        min_task_bytes: int | None = None,
        max_tasks: int | None = None,
        max_hashed_bytes: int = sys.maxsize,
    ) -> None:
        self._driver = driver
        self._exports = exports
        self._storage = storage
        self._settings = settings
        self._min_task_bytes = min_task_bytes
        self._max_tasks = max_tasks
        self._max_hashed_bytes = max_hashed_bytes

    @contextmanager
    def stage(self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress) -> Iterator[Staged]:
        """Implements `Runner.stage`."""
        with self._driver.connected() as connection, closing(DriverConnection(connection)) as driver:
            driver.send(self._request(plan, key))
            rows, size, sha256, crc64nvme = driver.receive_staged(cancel, progress)

            def commit(metadata: Mapping[str, str]) -> ObjectInfo:
                driver.send(dict(metadata))
                try:
                    return driver.receive_committed()
                except ClusterUnavailable:
                    # The driver may have died after its commit. Equal requests give equal bytes, whoever wrote them.
                    info = self._exports.head(key)
                    if info is None:
                        raise
                    return info

            yield Staged(rows, size, sha256, commit, crc64nvme=crc64nvme)

    def _request(self, plan: ExportPlan, key: str) -> DriverRequest:
        storage = self._storage
        return DriverRequest(
            plan=without_statistics(plan),
            key=key,
            results=absolute_location(storage.results),
            exports=absolute_location(storage.exports),
            connection_string=storage.azure_connection_string,
            account_url=storage.azure_account_url,
            checksum=storage.azure_checksum,
            settings=self._settings,
            min_task_bytes=self._min_task_bytes,
            max_tasks=self._max_tasks,
            max_hashed_bytes=self._max_hashed_bytes,
        )


def without_statistics(plan: ExportPlan) -> ExportPlan:
    """The plan without column statistics, the largest part of a manifest: once it is pruned, nothing reads them."""
    parts = {part.key: _without_statistics(part) for part in plan.run.parts}

    def replace_parts(ranges: Sequence[Range]) -> tuple[Range, ...]:
        return tuple(
            replace(
                range_, parts=tuple(parts[part.key] for part in range_.parts), subranges=replace_parts(range_.subranges)
            )
            for range_ in ranges
        )

    run = plan.run.model_copy(update={"parts": tuple(parts.values())})
    scan = replace_parts(plan.scan_ranges)
    ranges = scan if plan.ranges is plan.scan_ranges else replace_parts(plan.ranges)
    return replace(plan, run=run, row_group_mask=(), ranges=ranges, scan_ranges=scan)


def _without_statistics(part: Part) -> Part:
    # model_construct skips the validation, which was done when the manifest was read: there may be millions.
    groups = (RowGroup.model_construct(rows=one.rows, bytes=one.bytes, statistics={}) for one in part.row_groups)
    return part.model_copy(update={"row_groups": tuple(groups), "row_id_filters": None})


class DriverConnection:
    """The messages of one export. Raises what the driver failed with, or ClusterUnavailable if it died."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ended = False

    def send(self, message: object) -> None:
        """Send the next message to the driver."""
        try:
            self._connection.send(message)
        except OSError as error:
            raise ClusterUnavailable(DRIVER_DIED) from error

    def receive_staged(self, cancel: CancelToken, progress: Progress) -> tuple[int, int, str | None, str | None]:
        """Wait until the file is staged; returns its rows, bytes, hash and checksum. Raises Cancelled."""
        while True:
            # Checked before each message: on a large cluster there is always another one.
            cancel.raise_if_cancelled()
            reply = self._receive(_POLL_INTERVAL_SECONDS)
            if reply is None:
                continue
            if reply.staged is not None:
                return reply.staged
            progress.add_rows(reply.rows - progress.rows)
            progress.add_bytes(reply.bytes - progress.bytes)

    def receive_committed(self) -> ObjectInfo:
        """Wait until the object is visible; a cancel no longer counts."""
        reply = self._receive(None)
        if reply is None or reply.committed is None:
            raise ClusterUnavailable(DRIVER_DIED)
        return reply.committed

    def close(self) -> None:
        """Tell the driver to stop, and wait until it has removed what was staged."""
        with self._connection:
            try:
                self._connection.send(None)
                deadline = time.monotonic() + _CLOSE_TIMEOUT_SECONDS
                while not self._ended and self._connection.poll(max(0, deadline - time.monotonic())):
                    self._read()
            except (EOFError, OSError):
                return

    def _receive(self, timeout_seconds: float | None) -> DriverReply | None:
        try:
            if not self._connection.poll(timeout_seconds):
                return None
            reply = self._read()
        except (EOFError, OSError) as error:
            raise ClusterUnavailable(DRIVER_DIED) from error
        if reply.failure is not None:
            raise error_of(reply.failure)
        return reply

    def _read(self) -> DriverReply:
        reply: DriverReply = self._connection.recv()
        self._ended = reply.failure is not None or reply.committed is not None
        return reply
