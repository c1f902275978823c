"""A named pipe that DuckDB writes as a file, and that a thread reads.

For a Python file system, DuckDB copies whole batches of a sort twice, 43 MB and more, while it holds the interpreter
lock; it writes to a pipe without the lock.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from engine.common.temp_folders import spill_folder

_READ_BYTES = 512 * 1024
_PIPE_BYTES = 1024 * 1024
"""The maximum for unprivileged users of Linux (pipe-max-size, pipe(7))."""


class Pipe:
    """A named pipe at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path, 0o600)

    @contextmanager
    def draining(self, consume: Callable[[bytes], None]) -> Iterator[None]:
        """Within the block, a thread passes everything that is written to the path to ``consume``.

        Leaving the block waits until all of it is consumed. If ``consume`` raises, the error is dropped and the writer
        gets a broken pipe; ``consume`` has to report the error itself.
        """
        # Opened without blocking: a writer may fail before it opens the pipe.
        reading = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        writing = os.open(self.path, os.O_WRONLY)
        os.set_blocking(reading, True)
        with suppress(OSError, AttributeError):
            # Linux only, and refused to a user with very many pipes.
            fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        thread = Thread(target=_drain, args=(reading, consume), name="pipe")
        thread.start()
        try:
            yield
        finally:
            # The reader sees the end of the file when the last writer has closed it.
            os.close(writing)
            thread.join()


@contextmanager
def open_pipe(parent: Path) -> Iterator[Pipe]:
    """Create a pipe in a temporary folder below ``parent``, which is removed at the end."""
    with spill_folder(parent) as folder:
        yield Pipe(folder.absolute() / "pipe")


def _drain(reading: int, consume: Callable[[bytes], None]) -> None:
    try:
        while data := os.read(reading, _READ_BYTES):
            consume(data)
    except Exception:  # noqa: BLE001  # `consume` has reported it, and the writer gets a broken pipe
        return
    finally:
        os.close(reading)
