"""The driver process: connects to the cluster, and runs exports until the service has ended.

It is a separate process because Ray ends a driver 60 s after its cluster is gone, and because Ray changes the signal
handlers and the logging of the process in which it runs.

Run as ``python -m engine.runners FD ADDRESS``. The socket with that descriptor delivers one more descriptor for each
export, of a connection on which pickles are exchanged.
"""

import gc
import os
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import Cancelled
from engine.plan.planner import ExportPlan
from engine.runners.ray.messages import Failure
from engine.runners.ray.pool_port import TaskPool
from engine.runners.ray.runner import ClusterRunner, LocatedStore
from engine.runners.ray.worker import failure_of
from engine.settings import AzureChecksum, DuckDBSettings
from engine.stores import open_store
from engine.stores.port import ObjectInfo

_SHUTDOWN_GRACE_SECONDS = 15
"""For exports in progress when the service ends: they are cancelled, and remove what they staged."""

_EXPORT_THREAD = "export"


@dataclass(frozen=True, slots=True)
class DriverRequest:
    """One export. It contains credentials, so it goes through the connection and nowhere else."""

    plan: ExportPlan
    key: str
    results: str
    exports: str
    connection_string: str | None
    account_url: str | None
    checksum: AzureChecksum
    settings: DuckDBSettings
    min_task_bytes: int | None
    max_tasks: int | None
    max_hashed_bytes: int


@dataclass(frozen=True, slots=True)
class DriverReply:
    """A message of the driver: progress so far, then ``staged``, and at the end ``committed`` or ``failure``.

    ``staged`` is the number of rows, the number of bytes, the hash and the checksum, as in `Staged`.
    """

    rows: int = 0
    bytes: int = 0
    staged: tuple[int, int, str | None, str | None] | None = None
    committed: ObjectInfo | None = None
    failure: Failure | None = None


CommitRequests = queue.Queue[dict[str, str] | None]
"""The metadata to commit with, or None to stop."""


class _ReportedProgress(Progress):
    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def add_bytes(self, size: int) -> None:
        super().add_bytes(size)
        self._connection.send(DriverReply(self.rows, self.bytes))


def main(control: socket.socket, pool: TaskPool) -> None:
    """Run the requested exports in parallel, until the other end of the socket is closed."""
    control.set_inheritable(False)
    for connection in _connections(control):
        threading.Thread(target=_serve, args=(connection, pool), name=_EXPORT_THREAD).start()
    timeout = threading.Timer(_SHUTDOWN_GRACE_SECONDS, os._exit, (1,))
    timeout.daemon = True
    timeout.start()
    for thread in threading.enumerate():
        if thread.name == _EXPORT_THREAD:
            thread.join()


def _connections(control: socket.socket) -> Iterator[Connection]:
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except ConnectionError:
            return
        if not data:
            return
        for descriptor in descriptors:
            # No child may inherit it: the end of the connection tells the service that this process has ended.
            os.set_inheritable(descriptor, False)
            yield Connection(descriptor)


def _serve(connection: Connection, pool: TaskPool) -> None:
    """Run one export. The last reply is sent when nothing of it is left but a committed object."""
    with connection, suppress(EOFError, OSError):
        request = connection.recv()
        cancel, commits = CancelToken(), CommitRequests()
        listener = threading.Thread(target=_listen, args=(connection, cancel, commits), name="listen")
        listener.start()
        try:
            reply = DriverReply(committed=_run(request, pool, connection, cancel, commits))
        except Exception as error:  # noqa: BLE001  # sent to the service
            reply = DriverReply(failure=failure_of(error))
        # The cluster stores results for as long as this process has references to them.
        gc.collect()
        with suppress(OSError):
            connection.send(reply)
        # The listener reads until the service has no more to send.
        listener.join()


def _run(
    request: DriverRequest, pool: TaskPool, connection: Connection, cancel: CancelToken, commits: CommitRequests
) -> ObjectInfo:
    def open_located(location: str) -> LocatedStore:
        store = open_store(
            location,
            connection_string=request.connection_string,
            account_url=request.account_url,
            checksum=request.checksum,
            create=False,
        )
        return LocatedStore(location, store)

    runner = ClusterRunner(
        open_located(request.results),
        open_located(request.exports),
        request.settings,
        pool,
        min_task_bytes=request.min_task_bytes,
        max_tasks=request.max_tasks,
        max_hashed_bytes=request.max_hashed_bytes,
    )
    with runner.stage(request.plan, request.key, cancel, _ReportedProgress(connection)) as staged:
        connection.send(DriverReply(staged=(staged.rows, staged.size, staged.sha256, staged.crc64nvme)))
        metadata = commits.get()
        if metadata is None:
            raise Cancelled("The export was cancelled.")
        return staged.commit(metadata)


def _listen(connection: Connection, cancel: CancelToken, commits: CommitRequests) -> None:
    """Read messages until None or the end of the connection, which cancel the export."""
    metadata: dict[str, str] | None = {}
    while metadata is not None:
        try:
            metadata = connection.recv()
        except (EOFError, OSError):
            metadata = None
        commits.put(metadata)
    cancel.cancel()
