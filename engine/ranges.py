"""The cut of a run into ordered ranges: the unit of work, of memory and of scale-out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from engine.runs import Part

TARGET_BYTES = 4 * 1024 * 1024
"""Parquet bytes of a range. A constant, since an object's bytes must not depend on a machine's settings."""


@dataclass(frozen=True, slots=True)
class Range:
    """Consecutive rows of a run: whole parts, or the rows ``first <= n < end`` of a single one."""

    ordinal: int
    parts: tuple[Part, ...]
    first: int | None = None
    end: int | None = None

    @property
    def bytes(self) -> int:
        """Parquet bytes of these rows."""
        if self.first is None or self.end is None:
            return sum(part.bytes for part in self.parts)
        starts = accumulate((group.rows for group in self.parts[0].row_groups), initial=0)
        groups = zip(starts, self.parts[0].row_groups, strict=False)
        return sum(group.bytes for start, group in groups if self.first <= start < self.end)


Kept = Sequence[Sequence[bool]]
"""By part and row group: whether it is read at all."""


def cut(parts: Sequence[Part], target_bytes: int = TARGET_BYTES, kept: Kept | None = None) -> tuple[Range, ...]:
    """Ranges in run order that hold every kept row once, cut between row groups; at least one, even of no rows."""
    found = list(_cut(parts, target_bytes, kept or _all(parts))) or [((), None, None)]
    return tuple(Range(ordinal, taken, first, end) for ordinal, (taken, first, end) in enumerate(found))


def whole(parts: Sequence[Part], kept: Kept | None = None) -> tuple[Range, ...]:
    """One range of all parts of which something is kept, for what cannot be joined from pieces."""
    return (Range(0, tuple(part for part, flags in zip(parts, kept or _all(parts), strict=True) if any(flags))),)


def _all(parts: Sequence[Part]) -> Kept:
    return [[True] * len(part.row_groups) for part in parts]


_Slice = tuple[tuple[Part, ...], int | None, int | None]


def _cut(parts: Sequence[Part], target_bytes: int, kept: Kept) -> Iterator[_Slice]:
    small: list[Part] = []
    for part, flags in zip(parts, kept, strict=True):
        if not any(flags):
            continue
        fits = all(flags) and part.bytes <= target_bytes
        if small and not (fits and sum(p.bytes for p in small) + part.bytes <= target_bytes):
            yield tuple(small), None, None
            small = []
        if fits:
            small.append(part)
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
