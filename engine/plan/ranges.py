"""The cut of a run into ordered ranges: the unit of work, of memory and of scale-out."""

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine.catalog.manifest import Part

TARGET_BYTES = 4 * 1024 * 1024
"""Parquet bytes of a range. A constant, since an object's bytes must not depend on a machine's settings."""

MAX_PICKED_ROWS = 50
"""Rows of a range that leaps over row groups: DuckDB skips these by a list of rows no longer than this."""

MAX_PIECES = 32
"""Pieces of a range: each is a scan within one statement, which reads the footer of its first part before it begins."""


@dataclass(frozen=True, slots=True)
class Range:
    """Rows of a run in its order: whole parts, or the rows ``first <= n < end`` of a single one; ``rows`` of these.

    Or, of the parts, what several ``pieces`` hold: each whole parts, or rows of a single one.
    """

    ordinal: int
    parts: tuple[Part, ...]
    first: int | None = None
    end: int | None = None
    rows: tuple[int, ...] | None = None
    pieces: tuple["Range", ...] = ()

    @property
    def bytes(self) -> int:
        """Parquet bytes of the row groups that are read for these rows."""
        if self.pieces:
            return sum(piece.bytes for piece in self.pieces)
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
"""For each part, for each of its row groups: whether it is read at all."""


def split_into_ranges(
    parts: Sequence[Part], target_bytes: int = TARGET_BYTES, mask: RowGroupMask | None = None
) -> tuple[Range, ...]:
    """Ranges in run order that hold every kept row once, cut between row groups; at least one, even of no rows."""
    found = list(_cut(parts, target_bytes, mask or _all(parts))) or [((), None, None)]
    return tuple(Range(ordinal, taken, first, end) for ordinal, (taken, first, end) in enumerate(found))


def ranges_for_rows(
    parts: Sequence[Part], rows: Sequence[Sequence[int]], target_bytes: int, mask: RowGroupMask | None = None
) -> tuple[Range, ...]:
    """Ranges in run order that hold those of the given rows, by part, which are in kept row groups; at least one."""
    found = [
        Range(0, (part,), taken[0], taken[-1] + 1, tuple(taken))
        for part, wanted, flags in zip(parts, rows, mask or _all(parts), strict=True)
        for taken in _pick(part, wanted, target_bytes, flags)
    ]
    return tuple(replace(range_, ordinal=ordinal) for ordinal, range_ in enumerate(found)) or (Range(0, ()),)


def single_range(
    parts: Sequence[Part], mask: RowGroupMask | None = None, max_pieces: int = MAX_PIECES
) -> tuple[Range, ...]:
    """One range of all kept row groups, for what cannot be joined from ranges.

    Where that takes too many pieces, it is all row groups of the parts of which something is kept.
    """
    flags = mask or _all(parts)
    pieces = tuple(Range(number, *piece) for number, piece in enumerate(_cut(parts, sys.maxsize, flags)))
    if len(pieces) == 1:
        return pieces
    taken = tuple(part for part, wanted in zip(parts, flags, strict=True) if any(wanted))
    return (Range(0, taken, pieces=pieces if len(pieces) <= max_pieces else ()),)


def _all(parts: Sequence[Part]) -> RowGroupMask:
    return [[True] * len(part.row_groups) for part in parts]


_Slice = tuple[tuple[Part, ...], int | None, int | None]


def _cut(parts: Sequence[Part], target_bytes: int, mask: RowGroupMask) -> Iterator[_Slice]:
    small: list[Part] = []
    size = 0
    for part, flags in zip(parts, mask, strict=True):
        if not any(flags):
            continue
        fits = all(flags) and part.bytes <= target_bytes
        if small and not (fits and size + part.bytes <= target_bytes):
            yield tuple(small), None, None
            small, size = [], 0
        if fits:
            small.append(part)
            size += part.bytes
        else:
            yield from _cut_part(part, target_bytes, flags)
    if small:
        yield tuple(small), None, None


def _cut_part(part: Part, target_bytes: int, flags: Sequence[bool]) -> Iterator[_Slice]:
    first = end = size = 0
    for group, wanted in zip(part.row_groups, flags, strict=True):
        if size and (not wanted or size + group.bytes > target_bytes):
            yield (part,), first, end
            size = 0
        if not size:
            first = end
        end += group.rows
        if wanted:
            size += group.bytes
        else:
            first = end
    if size:
        yield (part,), first, end


def _pick(part: Part, rows: Sequence[int], target_bytes: int, flags: Sequence[bool]) -> Iterator[list[int]]:
    taken: list[int] = []
    leaps = False
    start = size = read = 0
    for group, wanted in zip(part.row_groups, flags, strict=True):
        end = start + group.rows
        hits = rows[bisect_left(rows, start) : bisect_left(rows, end)] if wanted else ()
        if hits:
            leaps = bool(taken) and (leaps or read < start)
            if taken and (size + group.bytes > target_bytes or (leaps and len(taken) + len(hits) > MAX_PICKED_ROWS)):
                yield taken
                taken, size, leaps = [], 0, False
            taken += hits
            size += group.bytes
            read = end
        start = end
    if taken:
        yield taken
