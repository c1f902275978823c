"""Runs a statement in a thread and writes its output in this one, so that Ctrl-C takes effect at any moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event
from typing import TypeVar

from engine.common.chunk import Chunk
from engine.errors import Cancelled
from engine.query.inspect.session import Inspection
from web.cli.terminal.interrupts import Interrupts, watching_interrupts

_ResultT = TypeVar("_ResultT")

Emit = Callable[[Chunk], None]
Write = Callable[[Chunk], object]

_MAX_WAITING = 4
"""Chunks between the statement and the output; each is half a megabyte at most."""

_POLL_SECONDS = 0.05


def run_statement(inspection: Inspection, work: Callable[[Emit], _ResultT], write: Write) -> _ResultT:
    """Call ``work`` in a thread and return its result; what it writes is passed to ``write`` in this thread.

    In the main thread, Ctrl-C would take effect only between DuckDB's tasks, and some statements are a single task.
    It cancels the statement and raises Cancelled. If ``write`` fails, the statement is cancelled as well.
    """
    waiting: Queue[Chunk | None] = Queue(_MAX_WAITING)
    stopped = Event()

    def emit(chunk: Chunk | None) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(chunk, timeout=_POLL_SECONDS)
            except Full:
                pass
        raise _cancelled()

    def produce() -> _ResultT:
        try:
            return work(emit)
        finally:
            with suppress(Cancelled):
                emit(None)

    def stop() -> None:
        stopped.set()
        while not running.done():
            # Repeated, since it affects only a statement that has started.
            inspection.cancel()
            wait({running}, timeout=_POLL_SECONDS)

    with watching_interrupts() as interrupts, ThreadPoolExecutor(1, thread_name_prefix="query") as pool:
        running = pool.submit(produce)
        try:
            while (chunk := _next(waiting, interrupts)) is not None:
                with interrupts.raising():
                    write(chunk)
            interrupts.check()
            return running.result()
        except KeyboardInterrupt:
            raise _cancelled() from None
        finally:
            stop()


def _next(waiting: "Queue[Chunk | None]", interrupts: Interrupts) -> Chunk | None:
    """The next chunk. Raises KeyboardInterrupt."""
    while True:
        interrupts.check()
        with suppress(Empty):
            return waiting.get(timeout=_POLL_SECONDS)


def _cancelled() -> Cancelled:
    return Cancelled("The query was cancelled.")
