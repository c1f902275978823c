"""The driver's own process: it connects to the cluster, runs one export, and waits for the word to commit.

A process of its own, because Ray ends its driver 60 s after the cluster is gone, and because it changes signals and
logging of the process that it lives in. It ends with the one that started it.

Run as ``python -m engine.runners FD``, with a connection of pickles at that descriptor.
"""

import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from engine.cancel import CancelToken
from engine.errors import Cancelled
from engine.plan import ExportPlan
from engine.progress import Progress
from engine.runners.cluster import ClusterRunner, Place
from engine.runners.job import Failure
from engine.runners.work import failure_of
from engine.settings import DuckDBSettings
from engine.stores import open_store
from engine.stores.port import ObjectInfo


@dataclass(frozen=True, slots=True)
class Order:
    """What the driver is to do. It goes through a pipe and nowhere else, since it has credentials."""

    plan: ExportPlan
    key: str
    address: str
    results: str
    exports: str
    connection_string: str | None
    account_url: str | None
    settings: DuckDBSettings
    least_bytes: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """What the driver says: progress in between, ``staged`` or ``failure``, and ``committed`` after the word."""

    rows: int = 0
    bytes: int = 0
    staged: tuple[int, int, str] | None = None
    committed: ObjectInfo | None = None
    failure: Failure | None = None


class _Telling(Progress):
    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def add_bytes(self, size: int) -> None:
        super().add_bytes(size)
        self._connection.send(Told(self.rows, self.bytes))


def main(connection: Connection) -> None:
    """Do one order."""
    order = connection.recv()
    cancel = CancelToken()
    words: queue.Queue[dict[str, str] | None] = queue.Queue()
    threading.Thread(target=_listen, args=(connection, cancel, words), name="listen", daemon=True).start()
    try:
        told = Told(committed=_run(order, connection, cancel, words))
    except Exception as error:  # noqa: BLE001  # told to whoever started this process
        told = Told(failure=failure_of(error))
    with suppress(OSError):
        connection.send(told)


def _run(
    order: Order, connection: Connection, cancel: CancelToken, words: "queue.Queue[dict[str, str] | None]"
) -> ObjectInfo:
    # Here, since the rest of the engine does without Ray.
    from engine.runners.ray_pool import RayPool

    def place(location: str) -> Place:
        access = {"connection_string": order.connection_string, "account_url": order.account_url}
        return Place(location, open_store(location, **access))

    pool = RayPool(order.address)
    runner = ClusterRunner(
        place(order.results), place(order.exports), order.settings, pool, least_bytes=order.least_bytes
    )
    with runner.stage(order.plan, order.key, cancel, _Telling(connection)) as staged:
        connection.send(Told(staged=(staged.rows, staged.size, staged.sha256)))
        metadata = words.get()
        if metadata is None:
            raise Cancelled("The export was cancelled.")
        return staged.commit(metadata)


def _listen(connection: Connection, cancel: CancelToken, words: "queue.Queue[dict[str, str] | None]") -> None:
    """The words of the other side: metadata to commit with; None, or its end, to stop."""
    word: dict[str, str] | None = {}
    while word is not None:
        try:
            word = connection.recv()
        except (EOFError, OSError):
            word = None
        words.put(word)
    cancel.cancel()
