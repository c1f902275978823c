"""A page of rows: what an export would hold, a few rows at a time, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Part
from engine.common.cancellation import CancelToken
from engine.common.chunk import Chunk
from engine.errors import LimitExceeded
from engine.execute.file_assembler import assembler_for
from engine.execute.instance_pool import InstancePool
from engine.execute.ordered_sink import OrderedSink
from engine.execute.run_files import source_of, target_of
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.query.preview.session import opened, read_parts
from engine.settings import DuckDBSettings
from engine.sql.statements import Window, compile_count, compile_page
from engine.stores.port import ObjectStore

MAX_PAGE_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """``rows`` is a file of the plan's format; ``total`` is how many rows there are on all pages."""

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
) -> Page:
    """At most ``limit`` rows after ``offset`` rows of what an export of the plan (CSV or JSON) would hold.

    With no ``limit`` rows are only counted. Raises LimitExceeded for a page of too many bytes, or as exports do.
    """
    taken: list[Chunk] = []
    size = 0

    def forward(data: Chunk) -> None:
        nonlocal size
        size += len(data)
        if size > MAX_PAGE_BYTES:
            raise LimitExceeded(
                f"The page is larger than {MAX_PAGE_BYTES} bytes: lower limit, or export the rows as one file."
            )
        taken.append(data)

    sink = OrderedSink(assembler_for(plan.request.format.name), forward, count=1, max_waiting_bytes=0)
    store = results.store
    with opened(plan, results, settings, cancel, sink, instances) as connection:
        total = _count(connection, plan, store)
        window = _window(plan, offset, min(limit, max(0, total - offset)))
        sources = [source_of(store, part.key) for part in window.range.parts]
        statement = compile_page(plan, window, sources, target_of(0))
        connection.execute(statement.sql, statement.parameters)
        sink.end(0)
    return Page(b"".join(taken), total)


def _count(connection: duckdb.DuckDBPyConnection, plan: ExportPlan, store: ObjectStore) -> int:
    if plan.is_full_run:
        return plan.run.rows
    parts = read_parts(plan)
    if not parts:
        return 0
    statement = compile_count(plan, [source_of(store, part.key) for part in parts])
    found = connection.execute(statement.sql, statement.parameters).fetchone()
    if found is None:
        raise AssertionError("a count is one row")
    return int(found[0])


def _window(plan: ExportPlan, offset: int, limit: int) -> Window:
    """Where the rows are: without a filter and a sort, that is told by the manifest."""
    if not limit:
        # The header, or an empty array: no part has to be opened.
        return Window(Range(0, ()), 0, 0)
    if not plan.is_full_run or plan.sort is not None:
        return Window(Range(0, read_parts(plan)), offset, limit)
    first, parts = _holding(plan.run.parts, offset, offset + limit)
    if len(parts) == 1:
        # Row groups before the place are skipped by it.
        return Window(Range(0, tuple(parts), offset - first, offset - first + limit), 0, limit)
    return Window(Range(0, tuple(parts)), offset - first, limit)


def _holding(parts: Sequence[Part], start: int, end: int) -> tuple[int, list[Part]]:
    """The parts of the rows ``start <= n < end``, and the number of the first row of the first of them."""
    found: list[Part] = []
    first = row = 0
    for part in parts:
        if row < end and row + part.rows > start:
            first = first if found else row
            found.append(part)
        row += part.rows
    return first, found
