"""Puts the bytes of ranges that run in parallel into order, within a memory limit.

Bytes of the front range pass straight through. Bytes of later ranges wait in memory, and their writers block when the
limit is reached. The front range never waits for a later one, so there is no deadlock.
"""

from collections.abc import Callable, Iterable
from threading import Condition

from engine.common.chunk import Chunk
from engine.errors import Cancelled
from engine.execute.file_assembler import FileAssembler


class OrderedSink:
    """Passes what is written for each range to ``forward``, in the order of the ordinals, as one file.

    Each range has one writer; different writers may be different threads.
    """

    def __init__(
        self, assembler: FileAssembler, forward: Callable[[Chunk], None], *, count: int, max_waiting_bytes: int
    ) -> None:
        self.assembler = assembler
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
        """Take bytes of one range. Raises Cancelled if `fail` was called."""
        with self._changed:
            while ordinal != self._front and self._waiting_bytes + len(data) > self._max_waiting_bytes:
                self._raise_if_failed()
                self._changed.wait()
            self._raise_if_failed()
            if ordinal != self._front:
                self._waiting.setdefault(ordinal, []).append(data)
                self._waiting_bytes += len(data)
                return
        # Only the writer of the front range gets here, so no lock is needed.
        self._flush(ordinal)
        self._emit(self.assembler.feed(data))

    def end(self, ordinal: int) -> None:
        """End a range; if it is at the front, later ranges that have ended follow at once."""
        with self._changed:
            self._ended.add(ordinal)
            if ordinal != self._front:
                return
        while True:
            self._flush(ordinal)
            self._emit(self.assembler.end_range())
            with self._changed:
                ordinal = self._front = self._front + 1
                self._changed.notify_all()
                if ordinal not in self._ended:
                    break
        if ordinal == self._count:
            self._emit(self.assembler.finish())

    def fail(self, reason: BaseException) -> None:
        """Make every writer raise, including those that wait. Only the first reason is recorded."""
        with self._changed:
            self._failure = self._failure or reason
            self._changed.notify_all()

    @property
    def failure(self) -> BaseException | None:
        """The first reason given to `fail`, or None."""
        return self._failure

    def _flush(self, ordinal: int) -> None:
        with self._changed:
            waiting = self._waiting.pop(ordinal, [])
            self._waiting_bytes -= sum(map(len, waiting))
            self._changed.notify_all()
        for data in waiting:
            self._emit(self.assembler.feed(data))

    def _emit(self, chunks: Iterable[Chunk]) -> None:
        for data in chunks:
            if data:
                self._forward(data)

    def _raise_if_failed(self) -> None:
        if self._failure is not None:
            raise Cancelled("The export was stopped.") from self._failure
