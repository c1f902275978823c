"""Concurrent small reads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_MAX_CONCURRENT_READS = 16

_ItemT = TypeVar("_ItemT")
_ResultT = TypeVar("_ResultT")


def read_all(read: Callable[[_ItemT], _ResultT | None], items: Sequence[_ItemT]) -> Iterator[_ResultT]:
    """The results of ``read`` in the order of the items, without None. Raises the first exception of ``read``."""
    with ThreadPoolExecutor(_MAX_CONCURRENT_READS, thread_name_prefix="read") as pool:
        results: Iterable[_ResultT | None] = pool.map(read, items)
        yield from (result for result in results if result is not None)
