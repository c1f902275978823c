"""Bytes of ranges that run side by side, brought into order under a bound of memory.

The range at the front passes straight through; those behind it wait in memory, and once that is full, their writers
wait. The front never waits for anyone behind it, so the whole cannot stall.
"""

from collections.abc import Callable, Iterable
from threading import Condition

from engine.common.chunk import Chunk
from engine.errors import Cancelled
from engine.execute.file_assembler import FileAssembler


class OrderedSink:
    """Writers by range ordinal; what they write reaches ``forward`` in the order of the ordinals, as one file."""

    def __init__(
        self, assembler: FileAssembler, forward: Callable[[Chunk], None], *, count: int, max_waiting_bytes: int
    ) -> None:
        self._assembler = assembler
        self._forward = forward
        self._count = count
        self._max_waiting_bytes = max_waiting_bytes
        self._changed = Condition()
        self._front = 0
        self._waiting: dict[int, list[Chunk]] = {}
        self._waiting_bytes = 0
        self._ended: set[int] = set()
        self._failure: BaseException | None = None

    def write(self, ordinal: int, data: Chunk) -> None:
        """Take bytes of one range. Raises what `fail` was given, if it was called."""
        with self._changed:
            while ordinal != self._front and self._waiting_bytes + len(data) > self._max_waiting_bytes:
                self._raise_if_failed()
                self._changed.wait()
            self._raise_if_failed()
            if ordinal != self._front:
                self._waiting.setdefault(ordinal, []).append(data)
                self._waiting_bytes += len(data)
                return
        # Only the writer of the front gets here, so the bytes need no lock of their own.
        self._flush(ordinal)
        self._emit(self._assembler.feed(data))

    def end(self, ordinal: int) -> None:
        """The range has written all; the ranges behind it that have ended as well follow at once."""
        with self._changed:
            self._ended.add(ordinal)
            if ordinal != self._front:
                return
        while True:
            self._flush(ordinal)
            self._emit(self._assembler.end_range())
            with self._changed:
                ordinal = self._front = self._front + 1
                self._changed.notify_all()
                if ordinal not in self._ended:
                    break
        if ordinal == self._count:
            self._emit(self._assembler.finish())

    def fail(self, reason: BaseException) -> None:
        """Make every writer raise, those that wait included. The first reason counts."""
        with self._changed:
            self._failure = self._failure or reason
            self._changed.notify_all()

    @property
    def failure(self) -> BaseException | None:
        """What `fail` was given first, or None."""
        return self._failure

    def _flush(self, ordinal: int) -> None:
        with self._changed:
            waiting = self._waiting.pop(ordinal, [])
            self._waiting_bytes -= sum(map(len, waiting))
            self._changed.notify_all()
        for data in waiting:
            self._emit(self._assembler.feed(data))

    def _emit(self, chunks: Iterable[Chunk]) -> None:
        for data in chunks:
            if data:
                self._forward(data)

    def _raise_if_failed(self) -> None:
        if self._failure is not None:
            raise Cancelled("The export was stopped.") from self._failure
