"""Split a run into ordered ranges of rows: the unit of work, of memory and of scale-out."""

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from engine.catalog.manifest import Part

TARGET_BYTES = 4 * 1024 * 1024
"""Compressed Parquet bytes per range. A constant, since an export's bytes must not depend on a machine's settings."""

MAX_PICKED_ROWS = 50
"""Maximum rows of a range that spans row groups without a requested row: beyond it, DuckDB no longer skips those."""

MAX_SUBRANGES = 32
"""Maximum sub-ranges of a range. Each is a separate scan in one statement and reads a footer before it starts."""


@dataclass(frozen=True, slots=True)
class Range:
    """Consecutive rows of a run.

    The rows of entire ``parts``; or rows ``first <= n < end`` of a single part, of which ``rows`` lists the requested
    ones if only some are. With ``subranges``, only their rows are read: each has entire parts, or rows of a single one.
    With ``copied``, the rows are all of those row groups of the part, which are copied unchanged.
    """

    ordinal: int
    parts: tuple[Part, ...]
    first: int | None = None
    end: int | None = None
    rows: tuple[int, ...] | None = None
    subranges: tuple["Range", ...] = ()
    copied: range | None = None

    @property
    def max_rows(self) -> int:
        """How many rows are read, unless other row groups are skipped."""
        if self.subranges:
            return sum(subrange.max_rows for subrange in self.subranges)
        if self.rows is not None:
            return len(self.rows)
        if self.first is None or self.end is None:
            return sum(part.rows for part in self.parts)
        return self.end - self.first

    @property
    def bytes(self) -> int:
        """Compressed bytes of the row groups that have to be read."""
        if self.subranges:
            return sum(subrange.bytes for subrange in self.subranges)
        if self.first is None or self.end is None:
            return sum(part.bytes for part in self.parts)
        size = start = 0
        for group in self.parts[0].row_groups:
            if start >= self.end:
                break
            end = start + group.rows
            if end > self.first and (self.rows is None or bisect_left(self.rows, start) < bisect_left(self.rows, end)):
                size += group.bytes
            start = end
        return size


RowGroupMask = Sequence[Sequence[bool]]
"""For each part, for each of its row groups: whether it is read, or whether it is copied."""


def split_into_ranges(
    parts: Sequence[Part],
    target_bytes: int = TARGET_BYTES,
    mask: RowGroupMask | None = None,
    copied: RowGroupMask | None = None,
) -> tuple[Range, ...]:
    """Split the row groups of the mask (default: all) into ranges in run order of about ``target_bytes`` each.

    Every row is in exactly one range, and no range ends within a row group. A range has row groups that are ``copied``
    (default: none), or others. Returns one empty range if nothing is read.
    """
    found = list(_split(parts, target_bytes, mask or _all(parts), copied)) or [Range(0, ())]
    return tuple(replace(range_, ordinal=ordinal) for ordinal, range_ in enumerate(found))


def ranges_for_rows(
    parts: Sequence[Part], rows: Sequence[Sequence[int]], target_bytes: int, mask: RowGroupMask | None = None
) -> tuple[Range, ...]:
    """Return ranges in run order for the given rows, numbered within each part; rows outside the mask are left out.

    Returns one empty range if no row is left.
    """
    found = [
        Range(0, (part,), batch[0], batch[-1] + 1, tuple(batch))
        for part, requested, flags in zip(parts, rows, mask or _all(parts), strict=True)
        for batch in _batches(part, requested, target_bytes, flags)
    ]
    return tuple(replace(range_, ordinal=ordinal) for ordinal, range_ in enumerate(found)) or (Range(0, ()),)


def single_range(
    parts: Sequence[Part], mask: RowGroupMask | None = None, max_subranges: int = MAX_SUBRANGES
) -> tuple[Range, ...]:
    """Return one range of all row groups of the mask, for a sort, whose output cannot be joined from ranges.

    If that takes more than ``max_subranges``, the range reads every part that has a row group in the mask entirely.
    """
    mask = mask or _all(parts)
    subranges = split_into_ranges(parts, sys.maxsize, mask)
    if len(subranges) == 1:
        return subranges
    read = tuple(part for part, flags in zip(parts, mask, strict=True) if any(flags))
    return (Range(0, read, subranges=subranges if len(subranges) <= max_subranges else ()),)


def _all(parts: Sequence[Part]) -> RowGroupMask:
    return [[True] * len(part.row_groups) for part in parts]


def _none(parts: Sequence[Part]) -> RowGroupMask:
    return [[False] * len(part.row_groups) for part in parts]


def _split(
    parts: Sequence[Part], target_bytes: int, mask: RowGroupMask, copied: RowGroupMask | None
) -> Iterator[Range]:
    small: list[Part] = []
    size = 0
    for part, flags, copies in zip(parts, mask, copied or _none(parts), strict=True):
        if not any(flags):
            continue
        fits = all(flags) and not any(copies) and part.bytes <= target_bytes
        if small and not (fits and size + part.bytes <= target_bytes):
            yield Range(0, tuple(small))
            small, size = [], 0
        if fits:
            small.append(part)
            size += part.bytes
        else:
            yield from _split_part(part, target_bytes, flags, copies)
    if small:
        yield Range(0, tuple(small))


def _split_part(part: Part, target_bytes: int, flags: Sequence[bool], copies: Sequence[bool]) -> Iterator[Range]:
    rows = list(accumulate((group.rows for group in part.row_groups), initial=0))

    def range_of(groups: Sequence[int]) -> Range:
        first, end = groups[0], groups[-1] + 1
        return Range(0, (part,), rows[first], rows[end], copied=range(first, end) if copies[first] else None)

    groups: list[int] = []
    size = 0
    for number, (group, is_read) in enumerate(zip(part.row_groups, flags, strict=True)):
        if groups and (not is_read or size + group.bytes > target_bytes or copies[number] != copies[groups[0]]):
            yield range_of(groups)
            groups, size = [], 0
        if is_read:
            groups.append(number)
            size += group.bytes
    if groups:
        yield range_of(groups)


def _batches(part: Part, rows: Sequence[int], target_bytes: int, flags: Sequence[bool]) -> Iterator[list[int]]:
    """Group the rows of a part, sorted, into those of one range each."""
    batch: list[int] = []
    has_gap = False
    start = size = last_read_end = 0
    for group, is_read in zip(part.row_groups, flags, strict=True):
        end = start + group.rows
        hits = rows[bisect_left(rows, start) : bisect_left(rows, end)] if is_read else ()
        if hits:
            has_gap = bool(batch) and (has_gap or last_read_end < start)
            if batch and (size + group.bytes > target_bytes or (has_gap and len(batch) + len(hits) > MAX_PICKED_ROWS)):
                yield batch
                batch, size, has_gap = [], 0, False
            batch += hits
            size += group.bytes
            last_read_end = end
        start = end
    if batch:
        yield batch
