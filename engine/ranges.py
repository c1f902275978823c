"""The cut of a run into ordered ranges: the unit of work, of memory and of scale-out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.runs import Part

TARGET_BYTES = 16 * 1024 * 1024
"""Parquet bytes of a range. A constant, since an object's bytes must not depend on a machine's settings."""


@dataclass(frozen=True, slots=True)
class Range:
    """Consecutive rows of a run: whole parts, or the rows ``first <= n < end`` of a single one."""

    ordinal: int
    parts: tuple[Part, ...]
    first: int | None = None
    end: int | None = None


def cut(parts: Sequence[Part], target_bytes: int = TARGET_BYTES) -> tuple[Range, ...]:
    """Ranges in run order that hold every row once, cut between row groups; at least one, even of an empty run."""
    found = [(taken, first, end) for taken, first, end in _cut(parts, target_bytes)] or [((), None, None)]
    return tuple(Range(ordinal, taken, first, end) for ordinal, (taken, first, end) in enumerate(found))


def whole(parts: Sequence[Part]) -> tuple[Range, ...]:
    """One range of all rows, for what cannot be joined from pieces."""
    return (Range(0, tuple(parts)),)


def _cut(parts: Sequence[Part], target_bytes: int) -> Iterator[tuple[tuple[Part, ...], int | None, int | None]]:
    small: list[Part] = []
    for part in parts:
        if small and sum(p.bytes for p in small) + part.bytes > target_bytes:
            yield tuple(small), None, None
            small = []
        if part.bytes <= target_bytes:
            small.append(part)
        else:
            yield from _cut_part(part, target_bytes)
    if small:
        yield tuple(small), None, None


def _cut_part(part: Part, target_bytes: int) -> Iterator[tuple[tuple[Part, ...], int, int]]:
    first = end = size = 0
    for group in part.row_groups:
        if size and size + group.bytes > target_bytes:
            yield (part,), first, end
            first, size = end, 0
        end += group.rows
        size += group.bytes
    yield (part,), first, end
