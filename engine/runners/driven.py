"""The cluster's runner as the service sees it: a process that drives one export, and may die without harm."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from engine.cancel import CancelToken
from engine.errors import ClusterUnavailable
from engine.plan import ExportPlan
from engine.progress import Progress
from engine.runners.driver import Order, Told
from engine.runners.port import Staged
from engine.runners.work import error_of
from engine.settings import DuckDBSettings, StorageSettings
from engine.stores import located
from engine.stores.port import ObjectInfo

_LOOK_SECONDS = 0.2
_END_SECONDS = 20
_ENVIRONMENT = {
    # How long a driver looks for a head that is gone before it gives up.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}
_DIED = "The process that drove the export on the cluster has ended: the cluster is gone, or the process was killed."


class DrivenRunner:
    """Each export has a driver process of its own, connected to the cluster at ``address``."""

    def __init__(
        self, address: str, storage: StorageSettings, settings: DuckDBSettings, *, least_bytes: int | None = None
    ) -> None:
        self._address = address
        self._storage = storage
        self._settings = settings
        self._least_bytes = least_bytes

    @contextmanager
    def stage(self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress) -> Iterator[Staged]:
        """Write the file of a plan; what the port promises."""
        with _process() as connection:
            connection.send(self._order(plan, key))
            rows, size, sha256 = _staged(connection, cancel, progress)

            def commit(metadata: Mapping[str, str]) -> ObjectInfo:
                connection.send(dict(metadata))
                told = _next(connection, cancel)
                if told.committed is None:
                    raise ClusterUnavailable(_DIED)
                return told.committed

            yield Staged(rows, size, sha256, commit)

    def _order(self, plan: ExportPlan, key: str) -> Order:
        storage = self._storage
        return Order(
            plan=plan,
            key=key,
            address=self._address,
            results=located(storage.results),
            exports=located(storage.exports),
            connection_string=storage.azure_connection_string,
            account_url=storage.azure_account_url,
            settings=self._settings,
            least_bytes=self._least_bytes,
        )


@contextmanager
def _process() -> Iterator[Connection]:
    """A driver and the connection to it; leaving ends it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-m", "engine.runners", str(theirs.fileno())]
        process = subprocess.Popen(  # noqa: S603  # a fixed command
            command,
            pass_fds=(theirs.fileno(),),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()
        connection = Connection(ours.detach())
        try:
            yield connection
        finally:
            with suppress(OSError):
                connection.send(None)
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            connection.close()


def _environment() -> dict[str, str]:
    """Ours without the service's settings: what the driver needs comes with its order, and keys of callers do not."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
    return inherited | _ENVIRONMENT


def _staged(connection: Connection, cancel: CancelToken, progress: Progress) -> tuple[int, int, str]:
    while True:
        told = _next(connection, cancel)
        if told.staged is not None:
            return told.staged
        progress.add_rows(told.rows - progress.rows)
        progress.add_bytes(told.bytes - progress.bytes)


def _next(connection: Connection, cancel: CancelToken) -> Told:
    """What the driver says next. Raises what it failed with, Cancelled, or ClusterUnavailable if it died."""
    try:
        while not connection.poll(_LOOK_SECONDS):
            cancel.raise_if_cancelled()
        told: Told = connection.recv()
    except (EOFError, OSError) as error:
        raise ClusterUnavailable(_DIED) from error
    if told.failure is not None:
        raise error_of(told.failure)
    return told
