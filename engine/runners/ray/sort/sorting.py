"""How a sort is spread: by tasks that each read the run, if few can work at once, else by an exchange."""

from collections.abc import Iterator, Sequence
from math import ceil

from engine.common.cancellation import CancelToken
from engine.runners.ray.messages import Task
from engine.runners.ray.pool_port import Session, Ticket, at_once
from engine.runners.ray.sort.rereading import Reread
from engine.runners.ray.sort.sampling import SORT_TASK_BYTES, SortScan
from engine.runners.ray.sort.shuffle import Exchange
from engine.settings import DuckDBSettings, megabytes

Tasks = Iterator[tuple[Task, Sequence[Ticket]]]

_MOST_BYTES = 512 * 1024 * 1024
"""Parquet bytes of the rows that one task sorts: so much work is lost with it, and a piece of Parquet is held whole."""

_MOST_BYTES_KEPT = 128 * 1024 * 1024
"""The same, where it keeps what it has written until the driver has it."""

_LEAST_MEGABYTES = 400
"""Memory with which most tasks sort more than they have memory for: row groups and rows share it."""

_MOST_READ = 2
"""How many times as much as an exchange reads, where a range of all rows reads row groups that have none."""

_SPILLED = 20
"""Bytes on disk for each byte of Parquet that is sorted, at most as a rule."""


class Sorting:
    """The tasks of one sorted export, within the ``limits`` of each.

    ``reads`` are the tasks that may read the whole run; ``keeps`` says that a task keeps what it has written.
    """

    def __init__(self, scan: SortScan, limits: DuckDBSettings, *, reads: int, keeps: bool) -> None:
        self._scan = scan
        self._limits = limits
        self._reads = reads
        self._keeps = keeps
        self._exchange = Exchange(scan)
        self.pieces = max(reads, self._exchange.pieces)
        """Tasks that stage, at most."""

    def ways(self, session: Session, cancel: CancelToken) -> list[Tasks]:
        """The tasks that stage, with their inputs, in the file's order; then others, each of which takes less room.

        Both raise what a task before them raised.
        """
        slots = min(at_once(session), len(self._scan.groups))
        (whole,) = self._scan.plan.ranges
        count = tasks_that_reread(whole.bytes, slots, self._limits, keeps=self._keeps)
        exchanged = self._exchange.merges(session, cancel)
        if count is None or count > self._reads or whole.bytes > _MOST_READ * self._scan.bytes:
            return [exchanged]
        return [((task, ()) for task in Reread(self._scan).merges(session, cancel, count)), exchanged]


def tasks_that_reread(total_bytes: int, slots: int, limits: DuckDBSettings, *, keeps: bool) -> int | None:
    """How many tasks it takes, each of which sorts a share of so many bytes of Parquet; None if none has the room.

    As many for every slot.
    """
    most = slots * (_MOST_BYTES_KEPT if keeps else _MOST_BYTES)
    count = slots * max(1, ceil(total_bytes / most))
    share = total_bytes / count
    spills = megabytes(limits.memory_limit) >= _LEAST_MEGABYTES
    fits = share * _SPILLED <= megabytes(limits.spill_limit) * 1e6 and (spills or share <= SORT_TASK_BYTES)
    return count if fits else None
