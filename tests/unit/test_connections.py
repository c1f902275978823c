"""Rules about all connections together: how many of one team may stall, who gives way, and how many there may be."""

import asyncio
import resource

import pytest

from web.http.connections import RESERVED_DESCRIPTORS, Connections, connection_limit


class Line:
    """A connection whose waits the test sets."""

    def __init__(self, team: str = "", stalled: float = 0, idle: float | None = None) -> None:
        self.team = team
        self.stalled = stalled
        self.idle = idle
        self.reason = ""

    def check(self, elapsed: float, stall_seconds: float) -> float:  # it has its own
        return self.stalled

    def idle_seconds(self) -> float | None:
        return self.idle

    def end(self, reason: str) -> None:
        self.reason = reason


def connected(limit: int, *lines: Line) -> Connections:
    connections = Connections(limit=limit, stall_seconds=60)
    for line in lines:
        connections.add(line)
    return connections


def test_half_of_the_connections_may_stall_for_one_team() -> None:
    acme = [Line("acme", stalled=seconds) for seconds in range(10, 16)]
    others = [Line("acme", stalled=1), Line("rival", stalled=59), Line("")]
    connected(8, *acme, *others).check(1)
    # Those that have stalled for longest give way.
    assert [line.reason for line in acme] == ["", "", "", "", "team_limit", "team_limit"]
    assert [line.reason for line in others] == ["", "", ""]


def test_the_longest_idle_connection_gives_way_to_a_new_one() -> None:
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


def test_nobody_gives_way_who_may_have_a_request_on_its_way() -> None:
    async def work() -> None:
        lines = [Line(), Line(idle=0.5)]
        waiting = asyncio.create_task(connected(2, *lines).wait_for_room())
        await asyncio.sleep(0)
        assert [line.reason for line in lines] == ["", ""]
        waiting.cancel()

    asyncio.run(work())


def test_shutdown_ends_all() -> None:
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
def test_connections_leave_descriptors_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, wanted: int, limit: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert connection_limit(wanted) == limit
