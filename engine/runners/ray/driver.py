"""The driver's own process: it connects to the cluster, and runs exports until the service is gone.

A process of its own, because Ray ends its driver 60 s after the cluster is gone, and because it changes signals and
logging of the process that it lives in.

Run as ``python -m engine.runners FD ADDRESS``, with a socket at that descriptor by which descriptors of connections
come, one for each export; on those go pickles.
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
from engine.runners.ray.pool_port import Pool
from engine.runners.ray.runner import ClusterRunner, Place
from engine.runners.ray.worker import failure_of
from engine.settings import DuckDBSettings
from engine.stores import open_store
from engine.stores.port import ObjectInfo

_GRACE_SECONDS = 15
"""For exports that run when the service ends: they are cancelled, and remove what they staged."""

_EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Order:
    """What the driver is to do. It goes through a pipe and nowhere else, since it has credentials."""

    plan: ExportPlan
    key: str
    results: str
    exports: str
    connection_string: str | None
    account_url: str | None
    settings: DuckDBSettings
    least_bytes: int | None
    tasks_at_once: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """What the driver says: progress in between, ``staged``, and at the end ``committed`` or ``failure``."""

    rows: int = 0
    bytes: int = 0
    staged: tuple[int, int, str] | None = None
    committed: ObjectInfo | None = None
    failure: Failure | None = None


Words = queue.Queue[dict[str, str] | None]


class _Telling(Progress):
    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def add_bytes(self, size: int) -> None:
        super().add_bytes(size)
        self._connection.send(Told(self.rows, self.bytes))


def main(control: socket.socket, pool: Pool) -> None:
    """Run what orders come, side by side, until the other end of the socket is closed."""
    control.set_inheritable(False)
    for connection in _connections(control):
        threading.Thread(target=_serve, args=(connection, pool), name=_EXPORT).start()
    late = threading.Timer(_GRACE_SECONDS, os._exit, (1,))
    late.daemon = True
    late.start()
    for thread in threading.enumerate():
        if thread.name == _EXPORT:
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
            # No child may hold it open: its end tells the service that this process has ended.
            os.set_inheritable(descriptor, False)
            yield Connection(descriptor)


def _serve(connection: Connection, pool: Pool) -> None:
    """Do one order. Its last word comes when nothing of it is left but a committed object."""
    with connection, suppress(EOFError, OSError):
        order = connection.recv()
        cancel, words = CancelToken(), Words()
        listener = threading.Thread(target=_listen, args=(connection, cancel, words), name="listen")
        listener.start()
        try:
            told = Told(committed=_run(order, pool, connection, cancel, words))
        except Exception as error:  # noqa: BLE001  # told to whoever ordered
            told = Told(failure=failure_of(error))
        # The cluster keeps results as long as anything here names them.
        gc.collect()
        with suppress(OSError):
            connection.send(told)
        # It reads the connection until the other side has no more to say.
        listener.join()


def _run(order: Order, pool: Pool, connection: Connection, cancel: CancelToken, words: Words) -> ObjectInfo:
    def place(location: str) -> Place:
        access = {"connection_string": order.connection_string, "account_url": order.account_url}
        return Place(location, open_store(location, **access, create=False))

    runner = ClusterRunner(
        place(order.results),
        place(order.exports),
        order.settings,
        pool,
        least_bytes=order.least_bytes,
        tasks_at_once=order.tasks_at_once,
    )
    with runner.stage(order.plan, order.key, cancel, _Telling(connection)) as staged:
        connection.send(Told(staged=(staged.rows, staged.size, staged.sha256)))
        metadata = words.get()
        if metadata is None:
            raise Cancelled("The export was cancelled.")
        return staged.commit(metadata)


def _listen(connection: Connection, cancel: CancelToken, words: Words) -> None:
    """The words of the other side: metadata to commit with; None, or its end, to stop."""
    word: dict[str, str] | None = {}
    while word is not None:
        try:
            word = connection.recv()
        except (EOFError, OSError):
            word = None
        words.put(word)
    cancel.cancel()
