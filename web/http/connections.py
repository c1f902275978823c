"""The open connections: their maximum number, and periodic checks that end those which stall."""

import asyncio
import contextlib
import resource
from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from web.telemetry import metrics

RESERVED_DESCRIPTORS = 128
"""File descriptors for everything else: runs, exports, spill files, pipes, connections to the store, the log."""
_DESCRIPTORS_PER_CONNECTION = 2
"""The socket, and the file or the store connection from which its response is read."""
_MIN_CONNECTIONS = 8
_CHECK_INTERVAL_SECONDS = 1.0
_STALLED_AFTER_SECONDS = 5.0
_EVICTABLE_SECONDS = 1.0
"""A connection that has been idle for less time may be about to receive a request."""
_SHUTDOWN_STALL_SECONDS = 5.0


class Connection(Protocol):
    """One open connection, as `Connections` uses it."""

    @property
    def team(self) -> str:
        """The team of its latest request; empty if unknown."""

    def check(self, elapsed: float, stall_seconds: float) -> float:
        """Account for ``elapsed`` seconds, end the connection if it is too slow, and return how long it has stalled."""

    def idle_seconds(self) -> float | None:
        """Return how long it has had no request; None while it has one, or a response to send."""

    def announce_close(self) -> None:
        """Tell the client with the response under way, if it has not begun, that the connection will be closed."""

    def end(self, reason: str) -> None:
        """Close the connection at once."""


def connection_limit(wanted: int) -> int:
    """Return ``wanted``, or as many connections as the limit of open files allows in addition to the reserve."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return max(_MIN_CONNECTIONS, min(wanted, (descriptors - RESERVED_DESCRIPTORS) // _DESCRIPTORS_PER_CONNECTION))


class Connections:
    """The open connections of one event loop.

    One check of all of them per second replaces a timer for each, so a stalled client costs nothing in between.
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
        """Count a connection."""
        self._open.add(connection)
        metrics.CONNECTIONS.set(len(self._open))

    def discard(self, connection: Connection) -> None:
        """Stop counting a connection."""
        self._open.discard(connection)
        metrics.CONNECTIONS.set(len(self._open))
        self._room.set()

    async def wait_for_room(self) -> None:
        """Return when there is room for one more; if needed, the connection that has been idle longest is closed."""
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
            pause = min(_CHECK_INTERVAL_SECONDS, self._stall_seconds / 4)
            await asyncio.sleep(pause)
            now = loop.time()
            # Do not charge clients for a delay of the event loop.
            self.check(min(now - last, 2 * pause))
            last = now

    def check(self, elapsed: float) -> None:
        """Check all connections, ``elapsed`` seconds after the previous check."""
        stalled: defaultdict[str, list[tuple[float, Connection]]] = defaultdict(list)
        stalled_after = min(_STALLED_AFTER_SECONDS, self._stall_seconds / 2)
        for connection in list(self._open):
            seconds = connection.check(elapsed, self._stall_seconds)
            if seconds >= stalled_after:
                stalled[connection.team].append((seconds, connection))
        for connection in _beyond_limit(stalled, self._stalled_per_team):
            connection.end("team_limit")

    def announce_close(self) -> None:
        """Ask clients whose requests are being served to use other connections for the next ones."""
        for connection in self._open:
            connection.announce_close()

    def begin_shutdown(self, grace_seconds: float) -> None:
        """End stalled connections sooner, so that they do not use up the grace period."""
        self._stall_seconds = min(self._stall_seconds, _SHUTDOWN_STALL_SECONDS, max(grace_seconds / 4, 0.5))

    def end_all(self) -> None:
        """Close every connection at once."""
        for connection in list(self._open):
            connection.end("shutdown")

    def _evict_idle(self) -> None:
        idle = [(seconds, each) for each in self._open if (seconds := each.idle_seconds()) is not None]
        seconds, longest = max(idle, key=lambda pair: pair[0], default=(0.0, None))
        if longest is not None and seconds >= _EVICTABLE_SECONDS:
            longest.end("evicted")


def _beyond_limit(stalled: dict[str, list[tuple[float, Connection]]], limit: int) -> Iterator[Connection]:
    """Yield the longest stalled connections of teams that have more than ``limit`` of them."""
    for waiting in stalled.values():
        waiting.sort(key=lambda pair: pair[0], reverse=True)
        yield from (connection for _, connection in waiting[: max(0, len(waiting) - limit)])
