"""Many small reads side by side."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_READS_AT_ONCE = 16

_ItemT = TypeVar("_ItemT")
_FoundT = TypeVar("_FoundT")


def read_all(read: Callable[[_ItemT], _FoundT | None], items: Sequence[_ItemT]) -> Iterator[_FoundT]:
    """What is still there of the items, in their order. Raises what ``read`` raised first."""
    with ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="read") as pool:
        found: Iterable[_FoundT | None] = pool.map(read, items)
        yield from (one for one in found if one is not None)
