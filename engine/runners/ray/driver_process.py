"""The service's handle of its driver process: started for the first export that needs it, and reused for the others."""

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

DRIVER_DIED = "The driver process of the export has ended: the cluster is unreachable, or the process was killed."
_END_TIMEOUT_SECONDS = 20
_SERVICE_VARIABLES = ("TAILRACE_", "AZURE_STORAGE_")
_DRIVER_VARIABLES = {
    # How long a driver waits for a head node that is gone.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
    # By default, Ray restarts a task without limit that was killed because its node ran out of memory.
    "RAY_task_oom_retries": "3",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


class DriverProcess:
    """One driver process. It ends when this object is closed or garbage-collected, and when this process ends."""

    def __init__(self, address: str) -> None:
        control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "engine.runners", str(theirs.fileno()), address]
            # A new session, since a Ctrl-C is for the service, which lets its exports finish.
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
        """Exports in progress; `Driver` counts them."""
        self._process = process
        self._control = control
        # The driver notices the end of the socket, even after a SIGKILL of this process. PR_SET_PDEATHSIG would signal
        # the end of the thread that started the driver instead.
        self.close = weakref.finalize(self, _end, control, process)

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def connect(self) -> Connection:
        """Open a connection for one export. Raises OSError if the driver has ended."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            socket.send_fds(self._control, [b"."], [theirs.fileno()])
            return Connection(ours.detach())


class Driver:
    """The driver for the cluster at ``address``: started on demand, and again after it has died or was retired."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = Lock()
        self._process: DriverProcess | None = None

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Open a connection for one export. Raises ClusterUnavailable if the process has just died.

        If the block raises ClusterUnavailable, the process is retired: it gets no more exports, and ends when those in
        progress have ended.
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
            self._release(process)

    def process(self) -> DriverProcess:
        """The process that the next export uses; starts one if there is none."""
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
                raise ClusterUnavailable(DRIVER_DIED) from error
            process.exports += 1
            return process, connection

    def _release(self, process: DriverProcess) -> None:
        with self._lock:
            process.exports -= 1
            retired = process is not self._process and not process.exports
        if retired:
            # Ending it takes seconds; no export waits for that.
            Thread(target=process.close, name="retired driver").start()


def _environment() -> dict[str, str]:
    """The environment without the service's settings: requests carry what the driver needs, and no caller's key."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_SERVICE_VARIABLES)}
    return inherited | _DRIVER_VARIABLES


def _end(control: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    control.close()
    try:
        process.wait(_END_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
