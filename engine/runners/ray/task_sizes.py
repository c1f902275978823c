"""How much goes into one task: enough that its start does not count, and so little that all can share the work."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from engine.catalog.manifest import Part
from engine.plan.ranges import Range

TASK_BYTES = 8 * 1024 * 1024
"""Parquet bytes of a task."""

MAX_TASKS = 10_000
"""Tasks of one phase: the blocks of an object are shared by all, and each should have some."""

_ItemT = TypeVar("_ItemT")


def task_bytes(total_bytes: int, least: int = TASK_BYTES) -> int:
    """Parquet bytes of each task of a plan."""
    # Twice, since a group may end half full.
    return max(least, -(-2 * total_bytes // MAX_TASKS))


def grouped(items: Iterable[_ItemT], size: Callable[[_ItemT], int], most: int) -> Iterator[tuple[_ItemT, ...]]:
    """Consecutive items that have no more than ``most`` bytes together, or are a single one."""
    group: list[_ItemT] = []
    held = 0
    for item in items:
        if group and held + size(item) > most:
            yield tuple(group)
            group, held = [], 0
        group.append(item)
        held += size(item)
    if group:
        yield tuple(group)


def parts_of(ranges: Sequence[Range]) -> tuple[Part, ...]:
    """The parts that ranges are of, each once, without what only a plan needs."""
    parts = {part.key: part for range_ in ranges for part in range_.parts}
    return tuple(part.model_copy(update={"row_groups": (), "row_id_filters": None}) for part in parts.values())
