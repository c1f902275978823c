"""Limits on all connections: how many of one team may stall, which is closed for another, and how many may be open."""

import asyncio
import resource

import pytest

from web.http.connections import RESERVED_DESCRIPTORS, Connections, connection_limit


class Line:
    """A connection with given waiting times."""

    def __init__(self, team: str = "", stalled: float = 0, idle: float | None = None) -> None:
        self.team = team
        self.stalled = stalled
        self.idle = idle
        self.reason = ""

    def check(self, elapsed: float, stall_seconds: float) -> float:  # it has its own
        return self.stalled

    def idle_seconds(self) -> float | None:
        return self.idle

    def announce_close(self) -> None:
        pass

    def end(self, reason: str) -> None:
        self.reason = reason


def connected(limit: int, *lines: Line) -> Connections:
    connections = Connections(limit=limit, stall_seconds=60)
    for line in lines:
        connections.add(line)
    return connections


def test_one_team_may_have_half_of_the_connections_stalled() -> None:
    acme = [Line("acme", stalled=seconds) for seconds in range(10, 16)]
    others = [Line("acme", stalled=1), Line("rival", stalled=59), Line("")]
    connected(8, *acme, *others).check(1)
    # Those that have stalled for longest give way.
    assert [line.reason for line in acme] == ["", "", "", "", "team_limit", "team_limit"]
    assert [line.reason for line in others] == ["", "", ""]


def test_the_longest_idle_connection_is_closed_for_a_new_one() -> None:
    async def work() -> None:
        busy, young, old, older = Line(), Line(idle=0.1), Line(idle=2), Line(idle=3)
        connections = connected(4, busy, young, old, older)
        waiting = asyncio.create_task(connections.wait_for_room())
        await asyncio.sleep(0)
        assert [line.reason for line in (busy, young, old, older)] == ["", "", "", "evicted"]
        assert not waiting.done()
        connections.discard(older)
        async with asyncio.timeout(10):
            await waiting

    asyncio.run(work())


def test_connections_that_may_be_about_to_get_a_request_stay_open() -> None:
    async def work() -> None:
        lines = [Line(), Line(idle=0.5)]
        waiting = asyncio.create_task(connected(2, *lines).wait_for_room())
        await asyncio.sleep(0)
        assert [line.reason for line in lines] == ["", ""]
        waiting.cancel()

    asyncio.run(work())


def test_shutdown_ends_all_connections() -> None:
    lines = [Line("acme"), Line(idle=0)]
    connected(4, *lines).end_all()
    assert {line.reason for line in lines} == {"shutdown"}


@pytest.mark.parametrize(
    ("descriptors", "wanted", "limit"),
    [
        (1024, 2000, (1024 - RESERVED_DESCRIPTORS) // 2),
        (1024, 100, 100),
        (20_000, 2000, 2000),
        (RESERVED_DESCRIPTORS, 2000, 8),
        (resource.RLIM_INFINITY, 2000, 2000),
    ],
)
def test_connections_leave_file_descriptors_for_everything_else(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, wanted: int, limit: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert connection_limit(wanted) == limit
