"""Equal calls that wait for a thread at the same time share one."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import anyio.to_thread

_ResultT = TypeVar("_ResultT")


class SharedCalls(Generic[_ResultT]):
    """Runs calls in threads, at most one at a time for each key; those that come meanwhile share the next one.

    So every caller's result is that of a call which began after the caller came. For one event loop.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[_ResultT]] = {}
        self._next: dict[Hashable, asyncio.Task[_ResultT]] = {}

    async def run(self, key: Hashable, call: Callable[[], _ResultT]) -> _ResultT:
        """The result of ``call``, or of the call of another caller with this key. Raises what that call raises."""
        if key not in self._running:
            shared = self._running[key] = asyncio.create_task(self._run(key, call))
        elif key in self._next:
            shared = self._next[key]
        else:
            shared = self._next[key] = asyncio.create_task(self._run_after(self._running[key], key, call))
        # A caller that is cancelled leaves the call to the others.
        return await asyncio.shield(shared)

    async def _run(self, key: Hashable, call: Callable[[], _ResultT]) -> _ResultT:
        try:
            return await anyio.to_thread.run_sync(call)
        finally:
            if key not in self._next:
                del self._running[key]

    async def _run_after(
        self, running: asyncio.Task[_ResultT], key: Hashable, call: Callable[[], _ResultT]
    ) -> _ResultT:
        await asyncio.wait([running])
        self._running[key] = self._next.pop(key)
        return await self._run(key, call)
