"""How a sort is spread: sample keys, cut them, split every range at the cuts, merge what lies between two of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import accumulate, pairwise
from math import ceil, isqrt

from engine.cancel import CancelToken
from engine.compile import compile_copy
from engine.executor import Source, target_of
from engine.formats import ROW_GROUP_ROWS
from engine.plan import ExportPlan
from engine.ranges import Range
from engine.runners import exchange_sql
from engine.runners.exchange import Keys, MergeTask, SampleTask, SplitTask
from engine.runners.exchange_sql import Edges
from engine.runners.grouping import grouped, parts_of
from engine.runners.job import Task
from engine.runners.pool import Session, Ticket
from engine.runners.slices import slice_names
from engine.runners.tasks import RangesTask
from engine.runners.window import Window

SORT_TASK_BYTES = 16 * 1024 * 1024
"""Parquet bytes of a task of a sort, at least."""

_SLICE_BYTES = 1024 * 1024
"""What a slice should have: tasks grow with the square root of the whole, so that slices stay as large."""

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


def sort_task_bytes(total_bytes: int, least: int = SORT_TASK_BYTES) -> int:
    """Parquet bytes of each task of a sort."""
    return max(least, isqrt(total_bytes * min(least, _SLICE_BYTES)))


class Sorting:
    """The tasks of one sorted export. Each phase needs all of the one before; ``merges`` come in the file's order."""

    def __init__(self, plan: ExportPlan, source: Source, *, least_bytes: int = SORT_TASK_BYTES) -> None:
        self._plan = plan
        self._source = source
        total = sum(range_.bytes for range_ in plan.scan)
        most = sort_task_bytes(total, least_bytes)
        self._places = {part.key: number for number, part in enumerate(plan.run.parts)}
        self._groups = list(grouped(plan.scan, lambda range_: range_.bytes, most))
        parquet = plan.request.format.name == "parquet"
        self.pieces = len(self._groups) + 1
        """Merges at most."""
        self._buckets = len(self._groups) * (_PIECE_BUCKETS if parquet else 1)
        columns = sum(1 for field in plan.fields for _ in field.type.walk())
        self._at_once = self._buckets <= _MOST_FILES and self._buckets * columns <= _MOST_AT_ONCE
        self._step = ROW_GROUP_ROWS if parquet else None

    def merges(self, session: Session, cancel: CancelToken) -> Iterator[tuple[Task, Sequence[Ticket]]]:
        """The tasks that stage, with their inputs. Raises what a task of an earlier phase raised."""
        cuts = self._cuts(session, cancel)
        counts, slices = self._split(session, cancel, cuts)
        starts = list(accumulate((sum(column) for column in zip(*counts, strict=True)), initial=0))
        if not starts[-1]:
            yield self._empty(), ()
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
        statement = exchange_sql.merge(
            self._plan, first=first, edges=of_edges, sources=names[edges:], target=target_of(0)
        )
        return MergeTask(first, statement)

    def _pieces(self, starts: Sequence[int]) -> Iterator[tuple[int, int]]:
        rows = starts[-1]
        if self._step is None:
            yield from ((low, high) for low, high in pairwise(starts) if low < high)
            return
        step = ceil(rows / len(self._groups) / self._step) * self._step
        yield from ((low, min(low + step, rows)) for low in range(0, rows, step))

    def _empty(self) -> RangesTask:
        """A range without its rows: the file has what it has without any."""
        one = self._plan.scan[0]
        copy = compile_copy(self._plan, one, self._source.names(one.parts), target_of(0))
        return RangesTask(True, parts_of([one]), (copy,))

    def _cuts(self, session: Session, cancel: CancelToken) -> list[bytes]:
        if self._buckets < 2:
            return []
        keys = ceil(_KEYS_OF_CUT * self._buckets / max(1, len(self._plan.scan)))
        tasks = ((self._sample(group, keys), ()) for group in self._groups)
        found: list[tuple[bytes, float]] = []
        with closing(Window(session, cancel).results(tasks)) as results:
            for one, _ in results:
                found += [(key, sample.weight) for sample in _samples(one) for key in sample.keys]
        return cut_keys(found, self._buckets)

    def _split(
        self, session: Session, cancel: CancelToken, cuts: Sequence[bytes]
    ) -> tuple[list[list[int]], list[list[Ticket | None]]]:
        counts: list[list[int]] = []
        slices: list[list[Ticket | None]] = []
        tasks = ((self._splitting(group, cuts), ()) for group in self._groups)
        with closing(Window(session, cancel).results(tasks)) as results:
            for one, others in results:
                counts.append(_counts(one))
                slices.append(list(others))
        return counts, slices

    def _sample(self, group: Sequence[Range], keys: int) -> SampleTask:
        statements = tuple(
            exchange_sql.sample(self._plan, one, self._source.names(one.parts), self._numbers(one), keys)
            for one in group
        )
        return SampleTask(parts_of(group), statements)

    def _splitting(self, group: Sequence[Range], cuts: Sequence[bytes]) -> SplitTask:
        sources = [self._source.names(one.parts) for one in group]
        rows = exchange_sql.split(self._plan, group, sources, [self._numbers(one) for one in group], cuts)
        return SplitTask(parts_of(group), rows, len(cuts) + 1, self._at_once)

    def _numbers(self, range_: Range) -> list[int]:
        return [self._places[part.key] for part in range_.parts]


def cut_keys(found: list[tuple[bytes, float]], buckets: int) -> list[bytes]:
    """Where keys, with their weights, are cut into ``buckets`` of about the same weight, or into fewer.

    A cut is no longer than it takes to be above the key before it, since every split gets all of them.
    """
    found.sort()
    total, seen = sum(weight for _, weight in found), 0.0
    cuts: list[bytes] = []
    before = b""
    for key, weight in found:
        if seen >= total * (len(cuts) + 1) / buckets and (not cuts or key > cuts[-1]) and len(cuts) < buckets - 1:
            cuts.append(_above(before, key))
        seen += weight
        before = key
    return cuts


def _above(before: bytes, key: bytes) -> bytes:
    """The shortest beginning of a key that is above the one before it; the key itself if that is no less."""
    same = next((place for place, (one, other) in enumerate(zip(before, key, strict=False)) if one != other), None)
    return key[: (min(len(before), len(key)) if same is None else same) + 1]


def _samples(result: object) -> tuple[Keys, ...]:
    if not isinstance(result, tuple):
        raise TypeError("a sample is a tuple of keys")
    return result


def _counts(result: object) -> list[int]:
    if not isinstance(result, list):
        raise TypeError("counts are a list")
    return result
