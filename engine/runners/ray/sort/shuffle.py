"""A sort by an exchange: split every range at cuts, and merge what lies between two of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import accumulate, pairwise
from math import ceil

from engine.common.cancellation import CancelToken
from engine.execute.run_files import target_of
from engine.plan.ranges import Range
from engine.request.formats import ROW_GROUP_ROWS
from engine.runners.ray.messages import Task
from engine.runners.ray.pool_port import Session, Ticket
from engine.runners.ray.sort import shuffle_sql
from engine.runners.ray.sort.sampling import SortScan
from engine.runners.ray.sort.shuffle_files import slice_names
from engine.runners.ray.sort.shuffle_sql import Edges
from engine.runners.ray.sort.shuffle_tasks import MergeTask, SplitTask
from engine.runners.ray.task_sizes import parts_of
from engine.runners.ray.task_window import Window

_KEYS_OF_CUT = 100
"""Keys in the sample for each cut: a bucket is then within some ten percent of the others."""

_MOST_AT_ONCE = 512
"""Columns of buckets that a split writes in one pass: 32 buckets of 16 columns.

That takes half of the time of putting rows in order first. With more buckets it takes longer, and each column of each
has memory that DuckDB cannot spill: 100 buckets of four columns of text, and 32 of 16, fit into a task of 125 MB and
not into one of 100, where putting them in order fails as well.
"""

_MOST_FILES = 100
"""Files that DuckDB writes at once: one beyond ends another, and the rest of that bucket would be a second file.

With more by its setting, 120 buckets of four columns took more than 200 MB.
"""

_PIECE_BUCKETS = 2
"""Buckets for each piece of a Parquet file. It ends at a row group, so it sorts the buckets of its ends apart."""


class Exchange:
    """The tasks of one sorted export. Each phase needs all of the one before; ``merges`` come in the file's order."""

    def __init__(self, scan: SortScan) -> None:
        self._scan = scan
        self._plan = plan = scan.plan
        parquet = plan.request.format.name == "parquet"
        self.pieces = len(scan.groups) + 1
        """Merges at most."""
        self._buckets = len(scan.groups) * (_PIECE_BUCKETS if parquet else 1)
        columns = sum(1 for field in plan.fields for _ in field.type.walk())
        self._at_once = self._buckets <= _MOST_FILES and self._buckets * columns <= _MOST_AT_ONCE
        self._step = ROW_GROUP_ROWS if parquet else None

    def merges(self, session: Session, cancel: CancelToken) -> Iterator[tuple[Task, Sequence[Ticket]]]:
        """The tasks that stage, with their inputs. Raises what a task of an earlier phase raised."""
        cuts = self._cuts(session, cancel)
        counts, slices = self._split(session, cancel, cuts)
        starts = list(accumulate((sum(column) for column in zip(*counts, strict=True)), initial=0))
        if not starts[-1]:
            yield self._scan.empty(), ()
            return
        for number, (low, high) in enumerate(self._pieces(starts)):
            first, last = bisect_right(starts, low) - 1, bisect_left(starts, high) - 1
            # Of the buckets with the first and with the last row, other pieces may have a part.
            cut = {first} if low > starts[first] else set()
            cut |= {last} if high < starts[last + 1] else set()
            whole = [bucket for bucket in range(first, last + 1) if bucket not in cut]
            edges, inner = (
                [row[bucket] for bucket in buckets for row, of in zip(slices, counts, strict=True) if of[bucket]]
                for buckets in (sorted(cut), whole)
            )
            wanted = high - low - sum(starts[bucket + 1] - starts[bucket] for bucket in whole)
            skip = low - starts[first] if first in cut else 0
            yield self._merge(number == 0, len(edges), len(inner), skip, wanted), edges + inner
            for row in slices:
                # The cluster may forget what no later piece needs.
                row[:first] = [None] * first

    def _merge(self, first: bool, edges: int, inner: int, skip: int, wanted: int) -> MergeTask:
        """Of so many slices of edges, which come first, ``wanted`` rows after ``skip``; of those behind them, all."""
        names = slice_names(edges + inner)
        of_edges = Edges(names[:edges], skip, wanted)
        statement = shuffle_sql.merge(
            self._plan, first=first, edges=of_edges, sources=names[edges:], target=target_of(0)
        )
        return MergeTask(first, statement)

    def _pieces(self, starts: Sequence[int]) -> Iterator[tuple[int, int]]:
        rows = starts[-1]
        if self._step is None:
            yield from ((low, high) for low, high in pairwise(starts) if low < high)
            return
        step = ceil(rows / len(self._scan.groups) / self._step) * self._step
        yield from ((low, min(low + step, rows)) for low in range(0, rows, step))

    def _cuts(self, session: Session, cancel: CancelToken) -> list[bytes]:
        if self._buckets < 2:
            return []
        sample = self._scan.sample(session, cancel, _KEYS_OF_CUT * self._buckets)
        return sample.cuts([sample.rows * bucket / self._buckets for bucket in range(1, self._buckets)])

    def _split(
        self, session: Session, cancel: CancelToken, cuts: Sequence[bytes]
    ) -> tuple[list[list[int]], list[list[Ticket | None]]]:
        counts: list[list[int]] = []
        slices: list[list[Ticket | None]] = []
        tasks = ((self._splitting(group, cuts), ()) for group in self._scan.groups)
        with closing(Window(session, cancel).results(tasks)) as results:
            for one, others in results:
                counts.append(_counts(one))
                slices.append(list(others))
        return counts, slices

    def _splitting(self, group: Sequence[Range], cuts: Sequence[bytes]) -> SplitTask:
        rows = shuffle_sql.split(self._plan, self._scan.rows(group), cuts)
        return SplitTask(parts_of(group), rows, len(cuts) + 1, self._at_once)


def _counts(result: object) -> list[int]:
    if not isinstance(result, list):
        raise TypeError("counts are a list")
    return result
