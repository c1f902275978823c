"""Blocks on their way into a store: side by side, in memory only as many as a bound allows."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

UNDER_WAY_BYTES = 512 * 1024 * 1024
"""The most bytes under way, however large the blocks are by then; one of any size may be."""


class UnderWay:
    """Takes blocks from one thread at a time, and keeps at most ``at_once`` and `UNDER_WAY_BYTES` under way."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="stage")
        self._running: set[Future[str]] = set()
        self._begun: list[Future[str]] = []

    def __len__(self) -> int:
        """How many have begun."""
        return len(self._begun)

    def begin(self, stage: Callable[[], str], size: int) -> None:
        """Stage one more block of ``size`` bytes as soon as there is room; ``stage`` returns its id.

        Raises what staging an earlier one raised.
        """
        self._wait_for_room(min(self._at_once, UNDER_WAY_BYTES // size) or 1)
        future = self._pool.submit(stage)
        self._running.add(future)
        self._begun.append(future)

    def ids(self) -> list[str]:
        """The ids of all, in their order, once all have arrived. Raises what staging one raised."""
        return [future.result() for future in self._begun]

    def close(self) -> None:
        """Wait for what is under way, and begin no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _wait_for_room(self, most: int) -> None:
        done = {future for future in self._running if future.done()}
        while True:
            self._running -= done
            for future in done:
                future.result()
            if len(self._running) < most:
                return
            done = wait(self._running, return_when=FIRST_COMPLETED).done
