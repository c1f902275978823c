"""The driver's process as the service holds it: started by the first export that needs it, and kept for the others."""

import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Lock, Thread

from engine.errors import ClusterUnavailable

DIED = "The process that drove the export on the cluster has ended: the cluster is gone, or the process was killed."
_END_SECONDS = 20
_SETTINGS = ("TAILRACE_", "AZURE_STORAGE_")
_ENVIRONMENT = {
    # How long a driver looks for a head that is gone before it gives up.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
    # Without it, Ray starts a task for ever that is ended for its node's memory.
    "RAY_task_oom_retries": "3",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


class DriverProcess:
    """One driver. It ends when this is closed or dropped, and when this process ends, however that comes about."""

    def __init__(self, address: str) -> None:
        control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "engine.runners", str(theirs.fileno()), address]
            # In a session of its own: a Ctrl-C is for the service, which lets exports come to their end.
            process = subprocess.Popen(  # noqa: S603  # a fixed command, and the operator's address
                command,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid = process.pid
        self.exports = 0
        """How many it has under way; who holds it counts."""
        self._process = process
        self._control = control
        # The driver reads the other end: it sees us end even by SIGKILL. A signal at the parent's death would be sent
        # at the end of the thread that started it, which is one of many.
        self.close = weakref.finalize(self, _end, control, process)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def connect(self) -> Connection:
        """A connection for one export. Raises OSError if the driver has ended."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            socket.send_fds(self._control, [b"."], [theirs.fileno()])
            return Connection(ours.detach())


class Driver:
    """The driver for the cluster at ``address``, started when it is needed, and anew when it died or was retired."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = Lock()
        self._process: DriverProcess | None = None

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection for one export. Raises ClusterUnavailable if the process just died.

        After ClusterUnavailable within, that process begins no more exports, and ends with those that it has.
        """
        process, connection = self._connect()
        try:
            yield connection
        except ClusterUnavailable:
            with self._lock:
                if self._process is process:
                    self._process = None
            raise
        finally:
            self._leave(process)

    def process(self) -> DriverProcess:
        """The one that the next export gets."""
        with self._lock:
            return self._running()

    def close(self) -> None:
        """End the process, and wait until it has ended."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.close()

    def _running(self) -> DriverProcess:
        if self._process is None or not self._process.running:
            self._process = DriverProcess(self._address)
        return self._process

    def _connect(self) -> tuple[DriverProcess, Connection]:
        with self._lock:
            process = self._running()
            try:
                connection = process.connect()
            except OSError as error:
                raise ClusterUnavailable(DIED) from error
            process.exports += 1
            return process, connection

    def _leave(self, process: DriverProcess) -> None:
        with self._lock:
            process.exports -= 1
            over = process is not self._process and not process.exports
        if over:
            # Its end takes seconds, for which nobody should wait.
            Thread(target=process.close, name="retired driver").start()


def _environment() -> dict[str, str]:
    """Ours without the service's settings: what the driver needs comes with its orders, and keys of callers do not."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return inherited | _ENVIRONMENT


def _end(control: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    control.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
