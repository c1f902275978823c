"""Memory for request bodies is limited per team, waited for, and released."""

import asyncio

import pytest

from web.api.request_body import BodyMemory
from web.jobs.admission import ServiceOverloaded


def test_a_team_waits_only_for_its_own_bodies() -> None:
    async def work() -> None:
        memory = BodyMemory(total_bytes=100, team_bytes=40, wait_seconds=60)
        order = []

        async def read(name: str, team: str, size: int, until: asyncio.Event) -> None:
            async with memory.reserve(team, size):
                order.append(name)
                await until.wait()

        first, rest = asyncio.Event(), asyncio.Event()
        rest.set()
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(read("acme 1", "acme", 30, first))
            await asyncio.sleep(0)
            tasks.create_task(read("acme 2", "acme", 20, rest))
            await tasks.create_task(read("rival", "rival", 40, rest))
            assert order == ["acme 1", "rival"]
            first.set()
        assert order == ["acme 1", "rival", "acme 2"]

    asyncio.run(work())


@pytest.mark.parametrize("team", ["acme", "rival"])
def test_a_body_that_waits_too_long_is_refused(team: str) -> None:
    async def work() -> None:
        memory = BodyMemory(total_bytes=50, team_bytes=40, wait_seconds=0.05)
        async with memory.reserve("acme", 40):
            with pytest.raises(ServiceOverloaded) as refused:
                async with memory.reserve(team, 20):
                    pass
        assert refused.value.retry_after_seconds == 1
        async with memory.reserve(team, 20):
            pass

    asyncio.run(work())


def test_an_error_releases_the_memory() -> None:
    async def work() -> None:
        memory = BodyMemory(total_bytes=50, team_bytes=40, wait_seconds=0.05)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with memory.reserve("acme", 40):
                    raise ZeroDivisionError

    asyncio.run(work())
