"""Reads pages of rows; a long one in parts, one after the other, while the body is sent.

Each part takes a slot of the queries and its time limit counts for the part alone, so that a client that reads slowly
holds neither a slot nor more than one part. A run never changes, so the parts together are the page.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from engine.plan.planner import ExportPlan
from engine.query.preview import MAX_PAGE_BYTES, Page, PageTooLarge, read_page
from web.api.parameters import MAX_LIMIT
from web.api.reads.row_bodies import PIECE_BYTES
from web.container import Services

MAX_PART_ROWS = 128 * MAX_LIMIT
_GROW_BELOW_BYTES = MAX_PAGE_BYTES // 4
"""A part of twice as many rows stays well below the maximum of bytes."""


class RowReader:
    """Reads the rows of one plan, in slots of the queries."""

    def __init__(self, services: Services, team: str, plan: ExportPlan) -> None:
        self._services = services
        self._team = team
        self._plan = plan

    async def start(self, offset: int, limit: int, total: int) -> AsyncIterator[bytes]:
        """Read the first part, so that its error is an answer of its own; returns an iterator of the whole page.

        ``total`` is the number of rows on all pages.
        """
        parts = self._parts(offset, min(total, offset + limit), total)
        return _pieces(await anext(parts), parts)

    async def read(
        self,
        offset: int,
        limit: int,
        disconnected: Callable[[], Awaitable[None]],
        *,
        total: int | None = None,
        first: bool = True,
        last: bool = True,
    ) -> Page:
        """Read one page, as `read_page` does. Raises what that and `QueryJobs.run` raise."""
        services = self._services
        return await services.queries.run(
            self._team,
            disconnected,
            lambda cancel: read_page(
                self._plan,
                services.exporter.results,
                offset=offset,
                limit=limit,
                settings=services.queries.duckdb,
                instances=services.instances,
                cancel=cancel,
                total=total,
                first=first,
                last=last,
            ),
        )

    async def _parts(self, start: int, end: int, total: int) -> AsyncIterator[bytes]:
        offset, rows, first = start, MAX_LIMIT, True
        while first or offset < end:
            count = min(rows, max(0, end - offset))
            last = offset + count >= end
            try:
                page = await self.read(offset, count, _never, total=total, first=first, last=last)
            except PageTooLarge:
                if count == 1:
                    raise
                rows = count // 2
                continue
            yield page.rows
            if len(page.rows) < _GROW_BELOW_BYTES:
                rows = min(2 * rows, MAX_PART_ROWS)
            offset, first = offset + count, False


async def _never() -> None:
    """While the body is sent, the response notices that the client has disconnected, and cancels what it waits for."""
    await asyncio.Event().wait()


async def _pieces(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    part: bytes | None = first
    del first
    while part is not None:
        for start in range(0, len(part), PIECE_BYTES):
            yield part[start : start + PIECE_BYTES]
        # Not two parts at a time.
        del part
        part = await anext(parts, None)
