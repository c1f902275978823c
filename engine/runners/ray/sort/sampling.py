"""Samples the sort keys of an export, to find cuts that divide its rows into buckets of about equal size."""

from collections.abc import Sequence
from contextlib import closing
from math import ceil, isqrt

from engine.common.cancellation import CancelToken
from engine.execute.run_files import RunFiles, target_of
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.runners.ray.encode_task import RangesTask
from engine.runners.ray.pool_port import TaskSession
from engine.runners.ray.sort.key_tasks import KeySample, SampleTask
from engine.runners.ray.task_sizes import group_by_size, parts_of
from engine.runners.ray.task_window import TaskWindow
from engine.sql import sort_keys
from engine.sql.statements import Statement, compile_copy

SORT_TASK_BYTES = 16 * 1024 * 1024
"""Parquet bytes of a task of a sort, at least."""

_SLICE_BYTES = 1024 * 1024
"""Target size of a slice: tasks grow with the square root of the total, so that the size of slices stays the same."""


def sort_task_bytes(total_bytes: int, min_bytes: int = SORT_TASK_BYTES) -> int:
    """Parquet bytes of each task of a sort."""
    return max(min_bytes, isqrt(total_bytes * min(min_bytes, _SLICE_BYTES)))


class SortScan:
    """What a sorted export reads: ``groups`` of ranges, one for each task."""

    def __init__(self, plan: ExportPlan, files: RunFiles, *, min_task_bytes: int = SORT_TASK_BYTES) -> None:
        self.plan = plan
        max_bytes = sort_task_bytes(sum(range_.bytes for range_ in plan.scan_ranges), min_task_bytes)
        self.groups = list(group_by_size(plan.scan_ranges, lambda range_: range_.bytes, max_bytes))
        self._files = files
        self._positions = {part.key: number for number, part in enumerate(plan.run.parts)}

    def rows(self, ranges: Sequence[Range]) -> Statement:
        """A statement for the rows of some ranges with their keys."""
        sources = [self._files.names(one.parts) for one in ranges]
        positions = [[self._positions[part.key] for part in one.parts] for one in ranges]
        return sort_keys.rows_by_key(self.plan, ranges, sources, positions)

    def empty_file(self) -> RangesTask:
        """A task for an export without rows. It copies a range in which no row matches, so the file has its header."""
        range_ = self.plan.scan_ranges[0]
        copy = compile_copy(self.plan, range_, self._files.names(range_.parts), target_of(0))
        return RangesTask(True, parts_of([range_]), (copy,))

    def sample(self, session: TaskSession, cancel: CancelToken, keys: int) -> "Sample":
        """A random sample of ``keys`` keys. Raises what a task raised."""
        keys_per_task = ceil(keys / len(self.groups))
        statements = (
            # A different seed for each task: at equal positions, a pattern that all of them share would be missed.
            sort_keys.sample(self.rows(group), keys_per_task, seed=number)
            for number, group in enumerate(self.groups)
        )
        tasks = (SampleTask(parts_of(group), one) for group, one in zip(self.groups, statements, strict=True))
        weighted: list[tuple[bytes, float]] = []
        rows = 0
        with closing(TaskWindow(session, cancel).results((task, ()) for task in tasks)) as results:
            for sample, _ in results:
                if not isinstance(sample, KeySample):
                    raise TypeError(f"expected a KeySample, got {type(sample).__name__}")
                rows += sample.rows
                weighted += [(key, sample.rows / len(sample.keys)) for key in sample.keys]
        return Sample(weighted, rows)


class Sample:
    """Sampled keys, each with the number of rows that it represents; ``rows`` is the number of all rows."""

    def __init__(self, weighted: Sequence[tuple[bytes, float]], rows: int) -> None:
        self._weighted = sorted(weighted)
        self.rows = rows

    def cuts(self, after: Sequence[float]) -> list[bytes]:
        """A cut after about each of these numbers of rows; fewer if there are not enough distinct keys.

        A cut is only as long as it must be to be greater than the key before it, since every task gets all cuts.
        """
        cuts: list[bytes] = []
        previous, rows = b"", 0.0
        for key, weight in self._weighted:
            if len(cuts) < len(after) and rows >= after[len(cuts)] and (not cuts or key > cuts[-1]):
                cuts.append(_shortest_above(previous, key))
            rows += weight
            previous = key
        return cuts


def _shortest_above(previous: bytes, key: bytes) -> bytes:
    """The shortest prefix of a key that is greater than the previous key; all of the key if they are equal."""
    pairs = enumerate(zip(previous, key, strict=False))
    differing = next((index for index, (one, other) in pairs if one != other), min(len(previous), len(key)))
    return key[: differing + 1]
