"""Processes of the command, forked by one that has imported it: a new interpreter takes a second or two for that.

They are processes as any others, with streams, an environment, a folder and an end of their own.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, NoReturn, Self

import duckdb

TAILRACE = "from web.cli import main; main()"
"""What runs as ``tailrace``."""

_NUMBER = struct.Struct("<i")
_ROOT = Path(__file__).parents[2]
_IMPORTED = (
    "anyio._backends._asyncio",  # as soon as a loop runs
    "pandas",  # which DuckDB imports where it finds it
    "rich.console",  # which the server of the tools for assistants imports when it is made
    "engine.stores.azure.store",
    "tests.helpers.altered",
    "web.mcp.endpoint",
    *(f"web.cli.{name}" for name in ("doctor", "explain", "export", "keys", "publish", "runs", "serve", "sign", "sql")),
    "web.cli.init",
    "web.cli.sweep",
    "web.cli.verify",
)


class Forked:
    """As much of a `subprocess.Popen` as the tests need; the streams are those that were asked for as pipes."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]

    def __init__(self, status: socket.socket, pipes: Mapping[str, IO[bytes]]) -> None:
        self._status = status
        self._pipes = pipes
        self.__dict__.update(pipes)
        self.pid = _number(status)
        self.returncode: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the pipes and wait."""
        for pipe in self._pipes.values():
            # What is left to write may have no reader any more.
            with suppress(BrokenPipeError):
                pipe.close()
        self.wait()

    def poll(self) -> int | None:
        """How it ended, or None."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """How it ended, as soon as it has. Raises TimeoutExpired after so many seconds."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("tailrace", timeout or 0)
            self.returncode = _number(self._status)
            self._status.close()
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """A signal; nothing if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Forking:
    """A process that forks, started with the first fork; its interpreter has ``environment`` besides ours."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment or {}
        self._lock = threading.Lock()
        self._orders: socket.socket | None = None

    def start(self, order: Sequence[object], streams: Sequence[int], pipes: Mapping[str, IO[bytes]]) -> Forked:
        status, theirs = socket.socketpair()
        with theirs, self._lock:
            body = json.dumps([_umask(), *order]).encode()
            if self._orders is None:
                self._orders = self._start()
            socket.send_fds(self._orders, [_NUMBER.pack(len(body)) + body], [*streams, theirs.fileno()])
        return Forked(status, pipes)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", "from tests.helpers.forks import serve; serve()"],
                stdin=theirs.fileno(),
                # Numeric libraries that start threads of their own could not be forked.
                env={**os.environ, "PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1", **self._environment},
                cwd=_ROOT,
            )
        atexit.register(process.wait)
        atexit.register(ours.close)
        return ours


FORKING = Forking()


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    program: str = TAILRACE,
    stdin: IO[bytes] | int | None = None,
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes] | int | None = None,
    forking: Forking = FORKING,
) -> Forked:
    """Start ``tailrace`` with these arguments.

    A stream is a file, the number of one, or `subprocess.PIPE`. Without, there is nothing to read, and what is written
    goes where the tests write.
    """
    given = {"stdin": stdin, "stdout": stdout or sys.__stdout__, "stderr": stderr or sys.__stderr__}
    pipes: dict[str, IO[bytes]] = {}
    with ExitStack() as opened:
        streams = []
        for name, stream in given.items():
            if stream == subprocess.PIPE:
                reading, writing = os.pipe()
                theirs, ours = (reading, writing) if name == "stdin" else (writing, reading)
                pipes[name] = os.fdopen(ours, "wb" if name == "stdin" else "rb")
                opened.callback(os.close, theirs)
            elif stream is None:
                theirs = os.open(os.devnull, os.O_RDONLY)
                opened.callback(os.close, theirs)
            else:
                theirs = stream if isinstance(stream, int) else stream.fileno()
            streams.append(theirs)
        return forking.start([program, list(arguments), dict(environment), str(folder)], streams, pipes)


def run_bytes(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    program: str = TAILRACE,
    piped: bytes = b"",
    forking: Forking = FORKING,
) -> "subprocess.CompletedProcess[bytes]":
    """What ``tailrace`` writes with these arguments, what it reads being ``piped``, and how it ends."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with (
            start(
                arguments,
                environment,
                folder,
                program=program,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                forking=forking,
            ) as process,
            suppress(BrokenPipeError),
        ):
            process.stdin.write(piped)
        said = []
        for stream in (output, errors):
            stream.seek(0)
            said.append(stream.read())
    return subprocess.CompletedProcess(["tailrace", *arguments], process.wait(), *said)


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    program: str = TAILRACE,
    piped: str = "",
    forking: Forking = FORKING,
) -> "subprocess.CompletedProcess[str]":
    """`run_bytes` of text."""
    done = run_bytes(arguments, environment, folder, program=program, piped=piped.encode(), forking=forking)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def serve() -> None:
    """Fork as ordered over standard input, until nobody orders any more."""
    for module in _IMPORTED:
        import_module(module)
    # DuckDB opens an instance as soon as it is imported; a fork would have what its threads hold, and no thread.
    duckdb.default_connection().close()
    # A collection in a fork would go through all that was imported, and so copy the pages.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that watch
    orders = socket.socket(fileno=os.dup(0))
    while True:
        head, streams, _, _ = socket.recv_fds(orders, _NUMBER.size, 4)
        if not head:
            return
        order = json.loads(_exactly(orders, _NUMBER.unpack(head)[0]))
        if os.fork() == 0:
            orders.close()
            _watch(streams[3], streams[:3])
            _run(_become(streams, *order))
        for stream in streams:
            os.close(stream)


def _umask() -> int:
    # It can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _watch(status: int, streams: Sequence[int]) -> None:
    """Fork once more: the child returns, and the one that is left tells its id and how it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        return
    for stream in (0, 1, 2, *streams):
        os.close(stream)
    os.write(status, _NUMBER.pack(child))
    _, code = os.waitpid(child, 0)
    # The tests may have ended before.
    with suppress(BrokenPipeError):
        os.write(status, _NUMBER.pack(os.waitstatus_to_exitcode(code)))
    os._exit(0)


def _become(
    streams: Sequence[int],
    umask: int,
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
) -> str:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams[:3]):
        os.dup2(stream, number)
    for stream in streams:
        os.close(stream)
    os.umask(umask)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    return program


def _run(program: str) -> NoReturn:
    """Run it and end; only the interpreter is not taken apart, whose pages would be copied for that."""
    code = 1
    try:
        exec(program, {"__name__": "__main__"})  # what runs as tailrace
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # as an interpreter tells it at its end
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]  # it waits for threads, as at the end of an interpreter
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def _number(stream: socket.socket) -> int:
    (number,) = _NUMBER.unpack(_exactly(stream, _NUMBER.size))
    return int(number)


def _exactly(stream: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = stream.recv(length - len(data))
        if not more:
            raise EOFError("the other side is gone")
        data += more
    return data
