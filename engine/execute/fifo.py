"""A pipe that DuckDB writes as a file, read by a thread piece by piece.

A file system of ours is handed whole batches of a sort, 43 MB and more, which DuckDB copies twice while it holds
Python's lock; into a pipe it writes without it.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from engine.common.temp_folders import spill_folder

_PIECE_BYTES = 512 * 1024
_PIPE_BYTES = 1024 * 1024
"""The most that Linux gives to users without rights."""


class Pipe:
    """Bytes on their way from ``path`` to whoever drains it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path, 0o600)

    @contextmanager
    def drained(self, take: Callable[[bytes], None]) -> Iterator[None]:
        """While inside, whatever is written to the path goes to ``take``, on a thread of its own; all of it at the end.

        If ``take`` raises, the writer finds the pipe broken, and nothing more is taken; who has to know of the error
        sees to it in ``take``.
        """
        # Without waiting for each other: a writer that fails before it opens the pipe must keep nobody.
        reading = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        writing = os.open(self.path, os.O_WRONLY)
        os.set_blocking(reading, True)
        with suppress(OSError, AttributeError):
            # Only Linux knows it, and a user who has very many pipes may not have larger ones.
            fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        thread = Thread(target=_drain, args=(reading, take), name="pipe")
        thread.start()
        try:
            yield
        finally:
            # The last writer's end is what the reader sees as the end of the file.
            os.close(writing)
            thread.join()


@contextmanager
def open_pipe(parent: Path) -> Iterator[Pipe]:
    """A pipe in a folder of its own below ``parent``, gone at the end."""
    with spill_folder(parent) as folder:
        yield Pipe(folder.absolute() / "pipe")


def _drain(reading: int, take: Callable[[bytes], None]) -> None:
    try:
        while data := os.read(reading, _PIECE_BYTES):
            take(data)
    except Exception:  # noqa: BLE001  # the sink knows, and the writer finds the pipe broken
        return
    finally:
        os.close(reading)
