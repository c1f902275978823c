"""How much goes into one task: enough to outweigh its start-up, and little enough for all nodes to share the work."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from engine.catalog.manifest import Part
from engine.plan.ranges import Range

TASK_BYTES = 8 * 1024 * 1024
"""Parquet bytes of a task, at least."""

MAX_TASKS = 10_000
"""Tasks of one phase: they share the blocks of one object, and each should have several."""

_ItemT = TypeVar("_ItemT")


def task_bytes(total_bytes: int, min_bytes: int = TASK_BYTES) -> int:
    """Parquet bytes of each task of a plan."""
    # Doubled, since a group may end up half full.
    return max(min_bytes, -(-2 * total_bytes // MAX_TASKS))


def group_by_size(
    items: Iterable[_ItemT], size: Callable[[_ItemT], int], max_size: int
) -> Iterator[tuple[_ItemT, ...]]:
    """Group consecutive items up to ``max_size`` in total; a larger item is a group of one."""
    group: list[_ItemT] = []
    group_size = 0
    for item in items:
        if group and group_size + size(item) > max_size:
            yield tuple(group)
            group, group_size = [], 0
        group.append(item)
        group_size += size(item)
    if group:
        yield tuple(group)


def parts_of(ranges: Sequence[Range]) -> tuple[Part, ...]:
    """The parts of these ranges without duplicates, and without what only planning needs."""
    parts = {part.key: part for range_ in ranges for part in range_.parts}
    return tuple(part.model_copy(update={"row_groups": (), "row_id_filters": None}) for part in parts.values())
