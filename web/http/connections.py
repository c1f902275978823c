"""The open connections: how many there may be, and the rounds that end those which stall."""

import asyncio
import contextlib
import resource
from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from web.telemetry import metrics

RESERVED_DESCRIPTORS = 128
"""Descriptors for everything else: runs, exports, spill files, pipes, connections to the store, the log."""
_DESCRIPTORS_EACH = 2
"""The socket, and the file or store connection that its response is read from."""
_MIN_CONNECTIONS = 8
_ROUND_SECONDS = 1.0
_COUNTS_AS_STALLED_SECONDS = 5.0
_EVICTABLE_SECONDS = 1.0
"""A connection that has been idle for less may have a request on its way."""
_SHUTDOWN_STALL_SECONDS = 5.0


class Connection(Protocol):
    """What `Connections` needs of one connection."""

    @property
    def team(self) -> str:
        """The team of its latest request; empty if it is not known."""

    def check(self, elapsed: float, stall_seconds: float) -> float:
        """Account for ``elapsed`` seconds, end the connection if it is too slow, and return how long it has stalled."""

    def idle_seconds(self) -> float | None:
        """How long it has been without a request; None while it has one, or a response to send."""

    def end(self, reason: str) -> None:
        """Close the connection at once."""


def connection_limit(wanted: int) -> int:
    """``wanted``, or as many connections as the limit of open files allows beside the reserve."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return max(_MIN_CONNECTIONS, min(wanted, (descriptors - RESERVED_DESCRIPTORS) // _DESCRIPTORS_EACH))


class Connections:
    """Belongs to one event loop.

    A round over all connections once a second replaces a timer for each: a stalled client costs nothing in between.
    """

    def __init__(self, *, limit: int, stall_seconds: float) -> None:
        self._limit = limit
        self._stall_seconds = stall_seconds
        self._stalled_per_team = max(1, limit // 2)
        self._open: set[Connection] = set()
        self._room = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """Count a connection from here on."""
        self._open.add(connection)
        metrics.CONNECTIONS.set(len(self._open))

    def discard(self, connection: Connection) -> None:
        """The connection is gone."""
        self._open.discard(connection)
        metrics.CONNECTIONS.set(len(self._open))
        self._room.set()

    async def wait_for_room(self) -> None:
        """Return once there may be another connection. If need be, the one that was idle for longest is closed."""
        while len(self._open) >= self._limit:
            self._room.clear()
            self._evict_idle()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVICTABLE_SECONDS / 2):
                    await self._room.wait()

    async def run(self) -> None:
        """End connections that stall, until cancelled."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            pause = min(_ROUND_SECONDS, self._stall_seconds / 4)
            await asyncio.sleep(pause)
            now = loop.time()
            # If the event loop was late, that is not the clients' fault.
            self.check(min(now - last, 2 * pause))
            last = now

    def check(self, elapsed: float) -> None:
        """One round, ``elapsed`` seconds after the one before."""
        stalled: defaultdict[str, list[tuple[float, Connection]]] = defaultdict(list)
        least = min(_COUNTS_AS_STALLED_SECONDS, self._stall_seconds / 2)
        for connection in list(self._open):
            seconds = connection.check(elapsed, self._stall_seconds)
            if seconds >= least:
                stalled[connection.team].append((seconds, connection))
        for connection in _too_many(stalled, self._stalled_per_team):
            connection.end("team_limit")

    def begin_shutdown(self, grace_seconds: float) -> None:
        """From here on, be less patient: what has stalled would take the grace from what has not."""
        self._stall_seconds = min(self._stall_seconds, _SHUTDOWN_STALL_SECONDS, max(grace_seconds / 4, 0.5))

    def end_all(self) -> None:
        """Close every connection at once."""
        for connection in list(self._open):
            connection.end("shutdown")

    def _evict_idle(self) -> None:
        idle = [(seconds, one) for one in self._open if (seconds := one.idle_seconds()) is not None]
        seconds, longest = max(idle, key=lambda pair: pair[0], default=(0.0, None))
        if longest is not None and seconds >= _EVICTABLE_SECONDS:
            longest.end("evicted")


def _too_many(stalled: dict[str, list[tuple[float, Connection]]], most: int) -> Iterator[Connection]:
    """Of teams with more stalled connections than ``most``: those that have stalled for longest."""
    for waiting in stalled.values():
        waiting.sort(key=lambda pair: pair[0], reverse=True)
        yield from (connection for _, connection in waiting[: max(0, len(waiting) - most)])
