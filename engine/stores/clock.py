"""The clocks of stores: dates that several machines compare are taken from the store that they share.

Azure's time is the ``Date`` of a response. A directory's is that of a file which is created in it: the same clock on a
local disk, the server's on a network file system.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Literal

from engine.errors import ClockSkew
from engine.stores.port import ObjectStore

MAX_SKEW = timedelta(seconds=60)
"""How far the clocks of a machine and a store may differ."""

_RESOLUTION = timedelta(seconds=1)
"""``Date`` has no fraction of a second."""

_REMEASURE_SECONDS = 60


def skew_of(store: ObjectStore) -> timedelta:
    """How far the store's clock is ahead of this machine's; negative if it is behind. Makes one request.

    A difference that the length of the request can explain counts as none. Raises StoreUnavailable.
    """
    before = datetime.now(UTC)
    at = store.check()
    after = datetime.now(UTC)
    if at > after:
        return at - after
    return min(at + _RESOLUTION - before, timedelta())


def require_same_time(store: ObjectStore, role: Literal["results", "exports"]) -> timedelta:
    """Check the store, and return `skew_of` it. Raises ClockSkew beyond `MAX_SKEW`, or StoreUnavailable."""
    skew = skew_of(store)
    if abs(skew) > MAX_SKEW:
        seconds, direction = round(abs(skew).total_seconds()), "behind" if skew > timedelta() else "ahead of"
        raise ClockSkew(
            f"This machine's clock is {seconds:,} seconds {direction} that of the {role} store: "
            "correct the one that is wrong (NTP).",
            seconds=seconds,
        )
    return skew


class StoreClock:
    """The time of a store, measured about once a minute and continued in between. May be used from any thread."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        # No lock: at worst, several threads measure at the same time.
        self._measured: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The store's time. Raises StoreUnavailable if it has to be measured and cannot."""
        measured = self._measured
        if measured is None or time.monotonic() - measured[1] > _REMEASURE_SECONDS:
            measured = self._measured = self._store.check(), time.monotonic()
        at, then = measured
        return at + timedelta(seconds=time.monotonic() - then)
