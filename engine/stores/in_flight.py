"""Uploads of blocks that run in parallel, bounded in number and in bytes."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

MAX_IN_FLIGHT_BYTES = 512 * 1024 * 1024
"""Bytes in flight at most; a single block may be larger."""


class InFlightUploads:
    """Uploads of blocks, of which at most ``max_uploads`` and `MAX_IN_FLIGHT_BYTES` are in flight.

    Use it from one thread at a time.
    """

    def __init__(self, max_uploads: int) -> None:
        self._max_uploads = max_uploads
        self._threads = ThreadPoolExecutor(max_uploads, thread_name_prefix="stage")
        self._running: set[Future[str]] = set()
        self._submitted: list[Future[str]] = []

    def __len__(self) -> int:
        """How many blocks were submitted."""
        return len(self._submitted)

    def submit(self, stage: Callable[[], str], size: int) -> None:
        """Wait until there is room, then stage a block of ``size`` bytes; ``stage`` returns its id.

        Raises the error of an earlier block that could not be staged.
        """
        self._wait_for_room(min(self._max_uploads, MAX_IN_FLIGHT_BYTES // size) or 1)
        future = self._threads.submit(stage)
        self._running.add(future)
        self._submitted.append(future)

    def ids(self) -> list[str]:
        """Wait for all blocks, and return their ids in the order of submission. Raises what staging one raised."""
        return [future.result() for future in self._submitted]

    def close(self) -> None:
        """Wait for the uploads in flight; those that have not started are dropped."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _wait_for_room(self, max_running: int) -> None:
        done = {future for future in self._running if future.done()}
        while True:
            self._running -= done
            for future in done:
                future.result()
            if len(self._running) < max_running:
                return
            done = wait(self._running, return_when=FIRST_COMPLETED).done
