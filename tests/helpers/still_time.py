"""Time that stands still until a test moves it: an hour of waiting takes none, and no machine is too slow for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers go by what it was told."""

    seconds = 0.0

    def time(self) -> float:
        return self.seconds


def run_still(work: Coroutine[Any, Any, None]) -> None:
    """What ``asyncio.run`` does, from second 0."""
    with asyncio.Runner(loop_factory=StillLoop) as runner:
        runner.run(work)


async def settled() -> None:
    """Let everyone do what it can do without a thread."""
    for _ in range(12):
        await asyncio.sleep(0)


async def pass_time(seconds: float) -> None:
    """Move the time of the running loop, and let everyone do what it is time for."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StillLoop)
    loop.seconds += seconds
    await settled()
