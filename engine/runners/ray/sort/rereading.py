"""A sort by few tasks, each of which reads the whole run and keeps the rows between two keys.

Reading a run is cheap beside writing all of its columns once more, as an exchange does, and reading them again. How
cheap, and up to how many tasks, is in the README (Beyond one machine).
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from math import ceil, sqrt

from engine.common.cancellation import CancelToken
from engine.execute.executor import target_of
from engine.request.formats import ROW_GROUP_ROWS
from engine.runners.ray.encode_task import RangesTask
from engine.runners.ray.pool_port import Session
from engine.runners.ray.sort.keys_sql import Boundary, copy_between
from engine.runners.ray.sort.sampling import Sample, SortScan
from engine.runners.ray.task_sizes import parts_of

_KEYS = 10_000
"""Keys in the sample: halves are within two percent of each other."""

_LONGEST_KEY = 1024
"""Bytes of a key in the sample: all of them go through the driver. Where more are alike, the cuts are fewer."""

_DEVIATIONS = 4
"""How far the row at which a row group ends is sought around where the sample has it."""

_END = Boundary(None)


class Reread:
    """The tasks of one sorted export."""

    def __init__(self, scan: SortScan) -> None:
        self._scan = scan
        self._parquet = scan.plan.request.format.name == "parquet"

    def merges(self, session: Session, cancel: CancelToken, count: int) -> Iterator[RangesTask]:
        """The tasks that stage, ``count`` or fewer, in the file's order. Raises what a task before them raised."""
        boundaries: list[Boundary] = []
        if count > 1:
            sample = self._scan.sample(session, cancel, _KEYS, _LONGEST_KEY)
            if not sample.rows:
                yield self._scan.empty()
                return
            find = self._at_row_groups if self._parquet else self._anywhere
            boundaries = find(session, cancel, sample, count)
        (whole,) = self._scan.plan.ranges
        ranges = whole.pieces or (whole,)
        rows, parts = self._scan.rows(ranges), parts_of(ranges)
        for number, (low, high) in enumerate(pairwise((_END, *boundaries, _END))):
            copy = copy_between(self._scan.plan, rows, low, high, first=number == 0, target=target_of(0))
            yield RangesTask(number == 0, parts, (copy,))

    def _anywhere(self, _: Session, __: CancelToken, sample: Sample, count: int) -> list[Boundary]:
        return [Boundary(cut) for cut in sample.cuts([sample.rows * place / count for place in range(1, count)])]

    def _at_row_groups(self, session: Session, cancel: CancelToken, sample: Sample, count: int) -> list[Boundary]:
        """Row groups end where those of one sort of all rows do, to the row: so rows are counted."""
        groups = ceil(sample.rows / ROW_GROUP_ROWS)
        ends = sorted({round(groups * place / count) * ROW_GROUP_ROWS for place in range(1, count)} - {0})
        ends = [end for end in ends if end < sample.rows]
        if not ends:
            return []
        cuts = sample.cuts([row for end in ends for row in _around(end, sample)])
        starts = list(accumulate(self._scan.counts(session, cancel, cuts), initial=0))
        return [_boundary(end, cuts, starts) for end in ends]


def _around(end: int, sample: Sample) -> tuple[float, float]:
    share = end / sample.rows
    deviation = sample.rows * sqrt(share * (1 - share) / len(sample))
    return end - _DEVIATIONS * deviation, end + _DEVIATIONS * deviation


def _boundary(end: int, cuts: Sequence[bytes], starts: Sequence[int]) -> Boundary:
    """Behind so many rows: in whichever bucket they end, most likely a narrow one."""
    bucket = bisect_right(starts, end) - 1
    low = cuts[bucket - 1] if bucket else None
    high = cuts[bucket] if bucket < len(cuts) else None
    return Boundary(low, high, end - starts[bucket])
