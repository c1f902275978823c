"""Work that is done ahead in other threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_MAX_CONCURRENT_READS = 16

_ItemT = TypeVar("_ItemT")
_ResultT = TypeVar("_ResultT")


def read_all(read: Callable[[_ItemT], _ResultT | None], items: Iterable[_ItemT]) -> Iterator[_ResultT]:
    """The results of ``read`` in the order of the items, without None. Raises the first exception of ``read``.

    At most 16 items are read ahead of the one whose result is wanted: results may be large.
    """
    with ThreadPoolExecutor(_MAX_CONCURRENT_READS, thread_name_prefix="read") as pool:
        left = iter(items)
        ahead: deque[Future[_ResultT | None]] = deque()
        while True:
            ahead.extend(pool.submit(read, item) for item in islice(left, _MAX_CONCURRENT_READS - len(ahead)))
            if not ahead:
                return
            result = ahead.popleft().result()
            if result is not None:
                yield result


def one_ahead(items: Iterator[_ItemT]) -> Iterator[_ItemT]:
    """The same items, each made in a thread while the one before is used. Raises what ``items`` raises."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item
