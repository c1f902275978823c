"""A process that has imported all that a statement needs, and forks a child for each: that takes milliseconds, and a
new interpreter takes most of a second of a processor.

It knows no setting, no key and no row, and it never runs a statement itself, so a child finds in its memory nothing
but code. Its children end with it, and it ends with the process that started it.
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
from itertools import count
from pathlib import Path
from threading import Lock
from typing import IO, NoReturn

import duckdb

from engine.query.sandbox.protocol import Kind, send
from engine.query.sandbox.worker import serve

_ORDER = struct.Struct("<cI")
_START, _END, _STATUS = b"S", b"E", b"T"
_WAIT_STATUS = struct.Struct("<i")
_READY = b"R"
_PATIENCE_SECONDS = 30
_NOT_READY = "the process that forks the statements' ended before it was ready"
_DIE_WITH_PARENT = 1
_NICENESS = 10


class Child:
    """One forked process: ``requests`` is what it says, ``answers`` is what it is told."""

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
        """Whether the process that forked it is gone, and it with it."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it, whatever it does; nothing if it has ended."""
        self._server.end(self._number)

    def death_signal(self) -> signal.Signals | None:
        """The signal that it died of; None if it exited, or was ended by `kill`. Ends it if it still runs."""
        return self._server.death_signal(self._number)

    def close(self) -> None:
        """End it and close the pipes."""
        self.kill()
        for pipe in (self.requests, self.answers):
            with suppress(OSError):
                pipe.close()


class ForkServer:
    """The side that asks for children. The process starts with the first one, and again if somebody ended it."""

    def __init__(self) -> None:
        # Of their own: who ends a child, from an event loop maybe, does not wait for a process that starts.
        self._starting = Lock()
        self._lock = Lock()
        self._numbers = count(1)
        self._failures = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None
        atexit.register(self.close)

    def ready(self) -> None:
        """Wait until there is a process that has imported all. Raises OSError if there can be none."""
        failures = self._failures
        with self._starting:
            if self.alive:
                return
            if self._failures != failures:
                # Another one has waited in vain meanwhile: those behind it do not wait for as long again.
                raise ConnectionError(_NOT_READY)
            try:
                process, orders = _begin()
            except BaseException:
                self._failures += 1
                raise
            with self._lock:
                self._close()
                self._process, self._orders = process, orders

    def start(self) -> Child:
        """A new child, forked by a process that is ready to. Raises OSError if there can be none."""
        self.ready()
        number = next(self._numbers)
        ends = [*os.pipe()]
        try:
            ends += os.pipe()
            requests, far_requests, far_answers, answers = ends
            try:
                process = self._order(_START, number, far_answers, far_requests)
            except OSError:
                # It ended between the look and the order.
                self.ready()
                process = self._order(_START, number, far_answers, far_requests)
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
        """Kill a child and take its status; nothing if it was ended before."""
        with suppress(OSError):
            self._order(_END, number)

    def death_signal(self, number: int) -> signal.Signals | None:
        """The signal that a child died of; None if it exited, or was ended before by `end`."""
        ours, theirs = os.pipe()
        with os.fdopen(ours, "rb") as answer:
            try:
                self._order(_STATUS, number, theirs)
            except OSError:
                return None
            finally:
                os.close(theirs)
            data = answer.read()
        status = _WAIT_STATUS.unpack(data)[0] if data else 0
        return signal.Signals(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None

    def close(self) -> None:
        """End the process and its children; another one starts if somebody asks for a child."""
        with self._lock:
            self._close()

    def _order(self, order: bytes, number: int, *pipes: int) -> subprocess.Popen[bytes]:
        """Returns the process that was told."""
        with self._lock:
            process = self._process
            if self._orders is None or process is None:
                raise ConnectionError("the process that forks the statements' was closed")
            try:
                socket.send_fds(self._orders, [_ORDER.pack(order, number)], pipes)
            except OSError:
                self._close()
                raise
            return process

    def _close(self) -> None:
        if self._orders is not None:
            self._orders.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._orders = self._process = None


def _begin() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the process and wait until it has imported all: a statement's time is not for that."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(  # our own module
                [sys.executable, "-s", "-P", "-c", "from engine.query.sandbox.fork_server import main; main()"],
                stdin=theirs.fileno(),
                # Nothing of ours: settings are where the credentials are.
                env={"PYTHONPATH": str(Path(__file__).parents[3]), "LC_ALL": "C.UTF-8"},
                cwd="/",
            )
        try:
            ours.settimeout(_PATIENCE_SECONDS)
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


def _serve(orders: socket.socket) -> None:
    """Fork and end children as ordered, until nobody orders any more."""
    children: dict[int, int] = {}
    while True:
        data, pipes, _, _ = socket.recv_fds(orders, _ORDER.size, 2)
        if len(data) < _ORDER.size:
            return
        order, number = _ORDER.unpack(data)
        if order == _START:
            answers, requests = pipes
            with os.fdopen(answers, "rb") as told, os.fdopen(requests, "wb", buffering=0) as said:
                try:
                    pid = os.fork()
                except OSError as error:
                    send(said, Kind.BROKEN, f"no process could be started: {error.strerror}".encode())
                    continue
                if pid == 0:
                    _be_child(orders, told, said)
                children[number] = pid
        elif order == _STATUS:
            with os.fdopen(pipes[0], "wb") as answer:
                if number in children:
                    answer.write(_WAIT_STATUS.pack(_end(children.pop(number))))
        elif number in children:
            _end(children.pop(number))


def _end(pid: int) -> int:
    """Kill a child. Returns its wait status: what it died of before that, if it did."""
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _be_child(orders: socket.socket, told: IO[bytes], said: IO[bytes]) -> NoReturn:
    try:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        orders.close()
        # What is printed by anyone, and what C++ says when it ends, may hold values.
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        serve(told, said)
    finally:
        os._exit(0)


def main() -> None:
    """Serve the orders that come over standard input."""
    # Who gives the orders knows when it is over, whatever a terminal or a supervisor sends to all of us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Strangers' statements take what the service, and whoever waits for it, leaves of the processors.
    os.nice(_NICENESS)
    # DuckDB opens an instance as soon as it is imported; a fork would have what its threads hold, and no thread.
    duckdb.default_connection().close()
    # What is there by now is everyone's: it is not looked through, and so not copied.
    gc.freeze()
    # Who gives the orders may be gone before the first of them.
    with suppress(OSError), socket.socket(fileno=os.dup(0)) as orders:
        orders.sendall(_READY)
        _serve(orders)
