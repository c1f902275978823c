"""What a sort that is spread reads, and what its driver learns of the keys before rows move."""

from collections.abc import Sequence
from contextlib import closing
from math import ceil, isqrt

from engine.common.cancellation import CancelToken
from engine.execute.run_files import RunFiles, target_of
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.runners.ray.encode_task import RangesTask
from engine.runners.ray.pool_port import Session
from engine.runners.ray.sort import keys_sql
from engine.runners.ray.sort.key_tasks import Keys, SampleTask
from engine.runners.ray.task_sizes import grouped, parts_of
from engine.runners.ray.task_window import Window
from engine.sql.statements import Statement, compile_copy

SORT_TASK_BYTES = 16 * 1024 * 1024
"""Parquet bytes of a task of a sort, at least."""

_SLICE_BYTES = 1024 * 1024
"""What a slice should have: tasks grow with the square root of the whole, so that slices stay as large."""


def sort_task_bytes(total_bytes: int, least: int = SORT_TASK_BYTES) -> int:
    """Parquet bytes of each task of a sort."""
    return max(least, isqrt(total_bytes * min(least, _SLICE_BYTES)))


class SortScan:
    """The rows of a sorted export in ``groups`` of ranges, each what one task reads."""

    def __init__(self, plan: ExportPlan, source: RunFiles, *, least_bytes: int = SORT_TASK_BYTES) -> None:
        self.plan = plan
        most = sort_task_bytes(sum(range_.bytes for range_ in plan.scan_ranges), least_bytes)
        self.groups = list(grouped(plan.scan_ranges, lambda range_: range_.bytes, most))
        self._source = source
        self._places = {part.key: number for number, part in enumerate(plan.run.parts)}

    def rows(self, ranges: Sequence[Range]) -> Statement:
        """The rows of some ranges by their keys."""
        sources = [self._source.names(one.parts) for one in ranges]
        places = [[self._places[part.key] for part in one.parts] for one in ranges]
        return keys_sql.rows_by_key(self.plan, ranges, sources, places)

    def empty(self) -> RangesTask:
        """A range without its rows: the file has what it has without any."""
        one = self.plan.scan_ranges[0]
        copy = compile_copy(self.plan, one, self._source.names(one.parts), target_of(0))
        return RangesTask(True, parts_of([one]), (copy,))

    def sample(self, session: Session, cancel: CancelToken, keys: int) -> "Sample":
        """A random sample of ``keys`` keys. Raises what a task raised."""
        of_each = ceil(keys / len(self.groups))
        statements = (
            # Each at places of its own, since what is alike in all of them would be missed in all.
            keys_sql.sample(self.rows(group), of_each, seed=number)
            for number, group in enumerate(self.groups)
        )
        tasks = (SampleTask(parts_of(group), one) for group, one in zip(self.groups, statements, strict=True))
        found: list[tuple[bytes, float]] = []
        rows = 0
        with closing(Window(session, cancel).results((task, ()) for task in tasks)) as results:
            for one, _ in results:
                if not isinstance(one, Keys):
                    raise TypeError("a sample is keys")
                rows += one.rows
                found += [(key, one.rows / len(one.keys)) for key in one.keys]
        return Sample(found, rows)


class Sample:
    """Keys by chance, each standing for a number of ``rows``, which are all."""

    def __init__(self, found: Sequence[tuple[bytes, float]], rows: int) -> None:
        self._found = sorted(found)
        self.rows = rows

    def cuts(self, after: Sequence[float]) -> list[bytes]:
        """Keys that have about so many rows before them, each time; fewer where there are not as many keys.

        A cut is no longer than it takes to be above the key before it, since every task gets all of them.
        """
        cuts: list[bytes] = []
        before, seen = b"", 0.0
        for key, weight in self._found:
            if len(cuts) < len(after) and seen >= after[len(cuts)] and (not cuts or key > cuts[-1]):
                cuts.append(_above(before, key))
            seen += weight
            before = key
        return cuts


def _above(before: bytes, key: bytes) -> bytes:
    """The shortest beginning of a key that is above the one before it; the key itself if that is no less."""
    same = next((place for place, (one, other) in enumerate(zip(before, key, strict=False)) if one != other), None)
    return key[: (min(len(before), len(key)) if same is None else same) + 1]
