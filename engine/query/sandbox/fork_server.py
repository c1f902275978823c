"""A process that has imported everything that a statement needs and forks a child for each statement.

A fork takes milliseconds; a new interpreter takes most of a second of processor time. The fork server has no settings,
keys or rows and never runs a statement, so a child finds nothing but code in its memory. Its children end with it, and
it ends with the process that started it.
"""

import atexit
import ctypes
import gc
import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import IO, NoReturn

from engine.common.duckdb_versions import close_default_instance
from engine.query.sandbox.protocol import FrameType, send
from engine.query.sandbox.worker import serve

_COMMAND = struct.Struct("<cI")
_START, _END, _STATUS = b"S", b"E", b"T"
_WAIT_STATUS = struct.Struct("<i")
_READY = b"R"
_START_TIMEOUT_SECONDS = 30
_NOT_READY = "the fork server ended before it was ready"
_DIE_WITH_PARENT = 1
_NICENESS = 10
_FIRST_TO_BE_KILLED = "1000"


@dataclass(frozen=True, slots=True)
class Death:
    """What a child died of: a signal, which a stack overflow caused or not; None if it exited or was reaped before."""

    signal: signal.Signals | None
    stack_overflow: bool = False


class Child:
    """A forked process. The parent reads from ``requests`` and writes to ``answers``."""

    def __init__(
        self,
        server: "ForkServer",
        process: subprocess.Popen[bytes],
        number: int,
        requests: IO[bytes],
        answers: IO[bytes],
    ) -> None:
        self._server = server
        self._process = process
        self._number = number
        self.requests = requests
        self.answers = answers

    @property
    def orphaned(self) -> bool:
        """Whether the fork server has ended, and the child with it."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """Kill the child; does nothing if it has ended."""
        self._server.end(self._number)

    def death(self) -> "Death":
        """Kill the child if it still runs. Returns what it had died of."""
        return self._server.death(self._number)

    def close(self) -> None:
        """Kill the child and close the pipes."""
        self.kill()
        for pipe in (self.requests, self.answers):
            with suppress(OSError):
                pipe.close()


class ForkServer:
    """The parent's side. The process starts with the first child, and again if it was killed. Thread-safe."""

    def __init__(self) -> None:
        # Two locks: `end` may be called from an event loop and must not wait for a process that starts.
        self._starting = Lock()
        self._lock = Lock()
        self._numbers = count(1)
        self._failures = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        atexit.register(self.close)

    def wait_until_ready(self) -> None:
        """Start the process if necessary and wait until it has imported everything. Raises OSError if it cannot."""
        failures = self._failures
        with self._starting:
            if self.alive:
                return
            if self._failures != failures:
                # The start failed while this thread waited for the lock; do not try again at once.
                raise ConnectionError(_NOT_READY)
            try:
                process, control = _start_process()
            except BaseException:
                self._failures += 1
                raise
            with self._lock:
                self._close()
                self._process, self._control = process, control

    def start(self) -> Child:
        """Fork a child. Raises OSError if that fails."""
        self.wait_until_ready()
        number = next(self._numbers)
        ends = [*os.pipe()]
        try:
            ends += os.pipe()
            requests, far_requests, far_answers, answers = ends
            try:
                process = self._send_command(_START, number, far_answers, far_requests)
            except OSError:
                # The process ended between the check and the command.
                self.wait_until_ready()
                process = self._send_command(_START, number, far_answers, far_requests)
        except BaseException:
            for end in ends:
                os.close(end)
            raise
        os.close(far_requests)
        os.close(far_answers)
        return Child(self, process, number, os.fdopen(requests, "rb"), os.fdopen(answers, "wb"))

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        process = self._process
        return process is not None and process.poll() is None

    def end(self, number: int) -> None:
        """Kill and reap a child; does nothing if it was reaped before."""
        with suppress(OSError):
            self._send_command(_END, number)

    def death(self, number: int) -> Death:
        """As `Child.death`."""
        ours, theirs = os.pipe()
        with os.fdopen(ours, "rb") as answer:
            try:
                self._send_command(_STATUS, number, theirs)
            except OSError:
                return Death(None)
            finally:
                os.close(theirs)
            data = answer.read()
        return _death(_WAIT_STATUS.unpack(data)[0] if data else 0)

    def close(self) -> None:
        """Kill the process and its children; `start` starts another one."""
        with self._lock:
            self._close()

    def _send_command(self, command: bytes, number: int, *pipes: int) -> subprocess.Popen[bytes]:
        """Send a command with pipes. Returns the process that received it. Raises OSError if there is none."""
        with self._lock:
            process = self._process
            if self._control is None or process is None:
                raise ConnectionError("the fork server was closed")
            try:
                socket.send_fds(self._control, [_COMMAND.pack(command, number)], pipes)
            except OSError:
                self._close()
                raise
            return process

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._control = self._process = None


def _start_process() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the process and wait until it has imported everything, so that no statement's timeout includes this."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(  # our own module
                [sys.executable, "-s", "-P", "-c", "from engine.query.sandbox.fork_server import main; main()"],
                stdin=theirs.fileno(),
                # Not the environment of the service: it has credentials.
                env={"PYTHONPATH": str(Path(__file__).parents[3]), "LC_ALL": "C.UTF-8"},
                cwd="/",
                # Ctrl-C is for its parent, which ends it; while it imports, it would print a traceback.
                process_group=0,
            )
        try:
            ours.settimeout(_START_TIMEOUT_SECONDS)
            if ours.recv(1) != _READY:
                raise ConnectionError(_NOT_READY)
            ours.settimeout(None)
        except BaseException:
            process.kill()
            process.wait()
            raise
    except BaseException:
        ours.close()
        raise
    return process, ours


def _serve(control: socket.socket) -> None:
    """Fork and kill children as commanded, until the control socket is closed."""
    children: dict[int, int] = {}
    while True:
        data, pipes, _, _ = socket.recv_fds(control, _COMMAND.size, 2)
        if len(data) < _COMMAND.size:
            return
        command, number = _COMMAND.unpack(data)
        if command == _START:
            answers, requests = pipes
            with os.fdopen(answers, "rb") as incoming, os.fdopen(requests, "wb", buffering=0) as outgoing:
                try:
                    pid = os.fork()
                except OSError as error:
                    send(outgoing, FrameType.FAILED, f"no process could be started: {error.strerror}".encode())
                    continue
                if pid == 0:
                    _run_child(control, incoming, outgoing)
                children[number] = pid
        elif command == _STATUS:
            with os.fdopen(pipes[0], "wb") as answer:
                if number in children:
                    answer.write(_WAIT_STATUS.pack(_end(children.pop(number))))
        elif number in children:
            _end(children.pop(number))


def _end(pid: int) -> int:
    """Kill and reap a child. Returns its wait status, which is of an earlier death if it had died before."""
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _death(status: int) -> Death:
    """The death that a wait status means.

    The handler of SIGSEGV exits with the number of the signal. It runs on the stack of the thread, so the kernel cannot
    call it after a stack overflow, and kills the process by the signal instead.
    """
    if os.WIFEXITED(status):
        return Death(signal.SIGSEGV if os.WEXITSTATUS(status) == signal.SIGSEGV else None)
    number = signal.Signals(os.WTERMSIG(status))
    return Death(number, stack_overflow=sys.platform == "linux" and number == signal.SIGSEGV)


def _run_child(control: socket.socket, incoming: IO[bytes], outgoing: IO[bytes]) -> NoReturn:
    try:
        if sys.platform == "linux":
            libc = ctypes.CDLL(None)
            libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            # See `_death`. In C, since Python could not run a handler here.
            libc.signal(signal.SIGSEGV, libc._exit)
            # If memory runs out, the kernel ends a statement before the service. A process may always raise this.
            with suppress(OSError):
                Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_BE_KILLED, "ascii")
        control.close()
        # What Python or C++ prints may contain values of rows.
        null_device = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null_device, descriptor)
        serve(incoming, outgoing)
    finally:
        os._exit(0)


def main() -> None:
    """Run the fork server; standard input is the control socket."""
    # The parent decides when this process ends, even if a terminal or supervisor signals the process group.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Statements get only the processor time that the service does not need.
    os.nice(_NICENESS)
    # A fork would copy the locks of an instance but not the threads that hold them.
    close_default_instance()
    # The collector would otherwise write to objects that children share, and so copy their pages.
    gc.freeze()
    # The parent may have ended already.
    with suppress(OSError), socket.socket(fileno=os.dup(0)) as control:
        control.sendall(_READY)
        _serve(control)
