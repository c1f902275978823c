"""Sorts by a shuffle: tasks split the rows at sampled cuts, and other tasks merge what lies between two cuts."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import accumulate, pairwise
from math import ceil

from engine.common.cancellation import CancelToken
from engine.execute.run_files import target_of
from engine.plan.ranges import Range
from engine.request.formats import ROW_GROUP_ROWS
from engine.runners.ray.encode_task import RangesTask
from engine.runners.ray.pool_port import ResultRef, TaskSession
from engine.runners.ray.sort import shuffle_sql
from engine.runners.ray.sort.sampling import SortScan
from engine.runners.ray.sort.shuffle_files import slice_names
from engine.runners.ray.sort.shuffle_sql import EdgeSlices
from engine.runners.ray.sort.shuffle_tasks import MergeTask, SplitTask
from engine.runners.ray.task_sizes import parts_of
from engine.runners.ray.task_window import TaskWindow

_KEYS_PER_CUT = 100
"""Sampled keys for each cut: the sizes of the buckets then differ by some ten percent."""

_MAX_BUCKET_COLUMNS = 512
"""Buckets times columns that a split writes in one pass, for example 32 buckets of 16 columns.

One pass takes half the time of ordering the rows first. With more buckets it takes longer, and every column of every
bucket needs memory that DuckDB cannot spill: 100 buckets of four columns of text, and 32 of 16, fit into a task of
125 MB but not into one of 100 MB, where ordering the rows fails as well.
"""

_MAX_OPEN_FILES = 100
"""Files that DuckDB writes at the same time. One more closes another file, and its bucket would get a second file.

With a higher setting, 120 buckets of four columns took more than 200 MB.
"""

_BUCKETS_PER_SEGMENT = 2
"""Of a Parquet file, whose segments end with a row group: the buckets at both ends are sorted separately."""


class Shuffle:
    """The tasks of one sorted export. Each phase needs all results of the phase before."""

    def __init__(self, scan: SortScan) -> None:
        self._scan = scan
        self._plan = plan = scan.plan
        parquet = plan.request.format.name == "parquet"
        self.max_merges = len(scan.groups) + 1
        self._buckets = len(scan.groups) * (_BUCKETS_PER_SEGMENT if parquet else 1)
        columns = sum(1 for field in plan.fields for _ in field.type.walk())
        self._one_pass = self._buckets <= _MAX_OPEN_FILES and self._buckets * columns <= _MAX_BUCKET_COLUMNS
        self._row_group_rows = ROW_GROUP_ROWS if parquet else None

    def merge_tasks(
        self, session: TaskSession, cancel: CancelToken
    ) -> Iterator[tuple[RangesTask | MergeTask, Sequence[ResultRef]]]:
        """Run the earlier phases, then yield the tasks that stage segments, with their inputs, in the file's order.

        Raises what a task of an earlier phase raised.
        """
        cuts = self._cuts(session, cancel)
        counts, slices = self._split(session, cancel, cuts)
        starts = list(accumulate((sum(column) for column in zip(*counts, strict=True)), initial=0))
        if not starts[-1]:
            yield self._scan.empty_file(), ()
            return
        for number, (low, high) in enumerate(self._segments(starts)):
            first, last = bisect_right(starts, low) - 1, bisect_left(starts, high) - 1
            # Other segments may take rows of the buckets in which this one begins and ends.
            divided = {first} if low > starts[first] else set()
            divided |= {last} if high < starts[last + 1] else set()
            undivided = [bucket for bucket in range(first, last + 1) if bucket not in divided]
            edges, inner = (
                [row[bucket] for bucket in buckets for row, count in zip(slices, counts, strict=True) if count[bucket]]
                for buckets in (sorted(divided), undivided)
            )
            edge_rows = high - low - sum(starts[bucket + 1] - starts[bucket] for bucket in undivided)
            skip = low - starts[first] if first in divided else 0
            yield self._merge(number == 0, len(edges), len(inner), skip, edge_rows), edges + inner
            for row in slices:
                # The cluster may drop the slices that no later segment needs.
                row[:first] = [None] * first

    def _merge(self, first: bool, edges: int, inner: int, skip: int, edge_rows: int) -> MergeTask:
        """Merge ``edge_rows`` rows of the first ``edges`` slices, after ``skip``, and all rows of ``inner`` others."""
        names = slice_names(edges + inner)
        edge_slices = EdgeSlices(names[:edges], skip, edge_rows)
        statement = shuffle_sql.merge(
            self._plan, first=first, edges=edge_slices, sources=names[edges:], target=target_of(0)
        )
        return MergeTask(first, statement)

    def _segments(self, starts: Sequence[int]) -> Iterator[tuple[int, int]]:
        rows = starts[-1]
        if self._row_group_rows is None:
            yield from ((low, high) for low, high in pairwise(starts) if low < high)
            return
        step = ceil(rows / len(self._scan.groups) / self._row_group_rows) * self._row_group_rows
        yield from ((low, min(low + step, rows)) for low in range(0, rows, step))

    def _cuts(self, session: TaskSession, cancel: CancelToken) -> list[bytes]:
        if self._buckets < 2:
            return []
        sample = self._scan.sample(session, cancel, _KEYS_PER_CUT * self._buckets)
        return sample.cuts([sample.rows * bucket / self._buckets for bucket in range(1, self._buckets)])

    def _split(
        self, session: TaskSession, cancel: CancelToken, cuts: Sequence[bytes]
    ) -> tuple[list[list[int]], list[list[ResultRef | None]]]:
        counts: list[list[int]] = []
        slices: list[list[ResultRef | None]] = []
        tasks = ((self._split_task(group, cuts), ()) for group in self._scan.groups)
        with closing(TaskWindow(session, cancel).results(tasks)) as results:
            for count, others in results:
                counts.append(_checked_counts(count))
                slices.append(list(others))
        return counts, slices

    def _split_task(self, group: Sequence[Range], cuts: Sequence[bytes]) -> SplitTask:
        rows = shuffle_sql.split(self._plan, self._scan.rows(group), cuts)
        return SplitTask(parts_of(group), rows, len(cuts) + 1, self._one_pass)


def _checked_counts(result: object) -> list[int]:
    if not isinstance(result, list):
        raise TypeError(f"expected a list of counts, got {type(result).__name__}")
    return result
