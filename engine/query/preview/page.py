"""A page of the rows that an export would have, and their total number."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Part
from engine.common.cancellation import CancelToken
from engine.common.chunk import Chunk
from engine.errors import LimitExceeded
from engine.execute.assemblers import assembler_for
from engine.execute.instance_pool import InstancePool
from engine.execute.ordered_sink import OrderedSink
from engine.execute.run_files import source_of, target_of
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.query.preview.session import opened, read_parts
from engine.settings import DuckDBSettings
from engine.sql.statements import PageSlice, compile_count, compile_page
from engine.stores.port import ObjectStore

MAX_PAGE_BYTES = 32 * 1024 * 1024


class PageTooLarge(LimitExceeded):
    """A page has more than `MAX_PAGE_BYTES`."""


@dataclass(frozen=True, slots=True)
class Page:
    """``rows`` is a file in the plan's format; ``total`` is the number of rows on all pages."""

    rows: bytes
    total: int


def read_page(
    plan: ExportPlan,
    results: ResultStore,
    *,
    offset: int,
    limit: int,
    settings: DuckDBSettings,
    cancel: CancelToken,
    instances: InstancePool | None = None,
    total: int | None = None,
    first: bool = True,
    last: bool = True,
) -> Page:
    """Read at most ``limit`` rows of an export (CSV or JSON), after the first ``offset``; 0 only counts rows.

    ``total`` is the number of all rows, if it is known. A page that is not the ``first`` or not the ``last`` of
    several has no header or no end: concatenated, they are one file. Raises PageTooLarge for a page of more than
    `MAX_PAGE_BYTES`, and what exports raise.
    """
    chunks: list[Chunk] = []
    size = 0

    def forward(data: Chunk) -> None:
        nonlocal size
        size += len(data)
        if size > MAX_PAGE_BYTES:
            raise PageTooLarge(
                f"The page exceeds the maximum of {MAX_PAGE_BYTES:,} bytes; use a lower limit, or export the rows."
            )
        chunks.append(data)

    assembler = assembler_for(plan.request.format.name, first=first, last=last)
    # A range with the number 0 has the header of a CSV file.
    ordinal = 0 if first else 1
    sink = OrderedSink(assembler, forward, count=1, max_waiting_bytes=0)
    store = results.store
    with opened(plan, results, settings, cancel, sink, instances) as connection:
        if total is None:
            total = _count(connection, plan, store)
        page = _page_slice(plan, offset, min(limit, max(0, total - offset)), ordinal)
        sources = [source_of(store, part.key) for part in page.range.parts]
        statement = compile_page(plan, page, sources, target_of(0))
        statement.execute(connection)
        sink.end(0)
    return Page(b"".join(chunks), total)


def _count(connection: duckdb.DuckDBPyConnection, plan: ExportPlan, store: ObjectStore) -> int:
    if plan.is_full_run:
        return plan.run.rows
    parts = read_parts(plan)
    if not parts:
        return 0
    statement = compile_count(plan, [source_of(store, part.key) for part in parts])
    row = statement.execute(connection).fetchone()
    if row is None:
        raise AssertionError("a count returns one row")
    return int(row[0])


def _page_slice(plan: ExportPlan, offset: int, limit: int, ordinal: int) -> PageSlice:
    """Without a filter and a sort, the manifest tells which parts have the rows."""
    if not limit:
        # Only a header or an empty array: no part has to be opened.
        return PageSlice(Range(ordinal, ()), 0, 0)
    if not plan.is_full_run or plan.sort is not None:
        return PageSlice(Range(ordinal, read_parts(plan)), offset, limit)
    first, parts = _parts_with_rows(plan.run.parts, offset, offset + limit)
    if len(parts) == 1:
        # By a range of rows, not by OFFSET, DuckDB skips the row groups before them.
        return PageSlice(Range(ordinal, tuple(parts), offset - first, offset - first + limit), 0, limit)
    return PageSlice(Range(ordinal, tuple(parts)), offset - first, limit)


def _parts_with_rows(parts: Sequence[Part], start: int, end: int) -> tuple[int, list[Part]]:
    """The parts of rows ``start <= n < end`` of the run, and the number of the first part's first row."""
    found: list[Part] = []
    first = row = 0
    for part in parts:
        if row < end and row + part.rows > start:
            first = first if found else row
            found.append(part)
        row += part.rows
    return first, found
