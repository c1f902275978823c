"""Profile one column over the rows of a plan: nulls, minimum, maximum, distinct values, histogram, frequent values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import duckdb

from engine.catalog.catalog import ResultStore
from engine.catalog.schema import Reference
from engine.catalog.types import Family
from engine.common.cancellation import CancelToken
from engine.errors import InvalidRequest, quoted_excerpt
from engine.execute.file_assembler import FileAssembler
from engine.execute.instance_pool import InstancePool
from engine.execute.ordered_sink import OrderedSink
from engine.execute.run_files import source_of
from engine.plan.planner import ExportPlan
from engine.query.preview.session import opened, read_parts
from engine.settings import DuckDBSettings
from engine.sql.json_values import text_of
from engine.sql.statements import Statement, compile_cells

MAX_BINS = 24
MAX_TOP_VALUES = 10
MAX_EXACT_ROWS = 1_000_000
"""Maximum rows for which distinct values are counted; above it they are estimated."""
MAX_VALUE_LENGTH = 200
"""Characters; longer values are truncated."""

_NUMBERS = frozenset({Family.INTEGER, Family.DECIMAL, Family.FLOAT})
_TIMES = frozenset({Family.DATE, Family.TIMESTAMP})
_NAMES = frozenset({Family.TEXT, Family.BOOLEAN})
_ORDERED = _NUMBERS | _TIMES | _NAMES | {Family.TIME}


@dataclass(frozen=True, slots=True)
class Bin:
    """The number of values ``low <= v < high`` (``<=`` in the last bin): numbers, or seconds since 1970 in UTC."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class TopValue:
    """One of the most frequent values, as in a CSV file."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """Statistics of a column. ``minimum`` and ``maximum`` are text as in a CSV file.

    ``distinct`` is an estimate unless ``exact``. All three are None for types that cannot be sorted.
    """

    column: Reference
    rows: int
    nulls: int
    distinct: int | None
    exact: bool
    minimum: str | None
    maximum: str | None
    bins: tuple[Bin, ...]
    top: tuple[TopValue, ...]


def read_column(
    plan: ExportPlan,
    path: str,
    results: ResultStore,
    *,
    settings: DuckDBSettings,
    cancel: CancelToken,
    instances: InstancePool | None = None,
) -> ColumnProfile:
    """Profile a column, or a field within it that is named by a dotted path.

    Raises InvalidRequest if there is no such field; LimitExceeded, SourceDamaged and Cancelled as exports do.
    """
    column = plan.run.table.find(path)
    if column is None:
        names = ", ".join(field.name for field in plan.run.table.delivered[:50])
        raise InvalidRequest(f"There is no field {quoted_excerpt(path)}. Fields: {names}.", parameter="field")
    unused = OrderedSink(FileAssembler(), lambda _: None, count=1, max_waiting_bytes=0)
    with opened(plan, results, settings, cancel, unused, instances) as connection:
        sources = [source_of(results.store, part.key) for part in read_parts(plan)]
        return _Profiler(connection, column, compile_cells(plan, column, sources)).profile()


class _Profiler:
    """Queries over the cells ``x`` of one column."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, column: Reference, cells: Statement) -> None:
        self._connection = connection
        self._column = column
        self._cells = cells

    def profile(self) -> ColumnProfile:
        family = self._column.type.family
        rows, nulls = self._query("SELECT count(*), count(*) - count(x) FROM cells")[0]
        exact = rows <= MAX_EXACT_ROWS
        distinct, minimum, maximum = self._bounds(exact=exact) if family in _ORDERED else (None, None, None)
        return ColumnProfile(
            column=self._column,
            rows=rows,
            nulls=nulls,
            # An estimate may exceed the number of values.
            distinct=None if distinct is None else min(distinct, rows - nulls),
            exact=exact,
            minimum=minimum,
            maximum=maximum,
            bins=tuple(self._bins()) if family in _NUMBERS | _TIMES else (),
            top=tuple(self._top()) if family in _NAMES else (),
        )

    def _bounds(self, *, exact: bool) -> tuple[int, str | None, str | None]:
        low, high = (f"left({text_of(name, self._column.type)}, {MAX_VALUE_LENGTH})" for name in ("low", "high"))
        distinct = "count(DISTINCT x)" if exact else "approx_count_distinct(x)"
        aggregates = f"SELECT {distinct} AS n, min(x) AS low, max(x) AS high FROM cells"
        row: tuple[int, str | None, str | None] = self._query(f"SELECT n, {low}, {high} FROM ({aggregates})")[0]
        return row

    def _bins(self) -> Iterator[Bin]:
        position = "epoch(x)" if self._column.type.family in _TIMES else "CAST(x AS DOUBLE)"
        # Infinities and NaN fall in no bin.
        positions = f"(SELECT {position} AS y FROM cells WHERE isfinite({position}))"
        low, high = self._query(f"SELECT min(y), max(y) FROM {positions}")[0]
        if low is None or not isfinite(high - low):
            return
        count = MAX_BINS
        if self._column.type.family is Family.INTEGER and high - low < MAX_BINS:
            # One bin per number.
            count, high = int(high - low) + 1, high + 1
        width = (high - low) / count or 1.0
        bin_index = f"least({count - 1}, CAST(floor((y - $low) / $width) AS BIGINT))"
        counts = dict(
            self._query(f"SELECT {bin_index}, count(*) FROM {positions} GROUP BY ALL", {"low": low, "width": width})
        )
        for index in range(count if high > low else 1):
            yield Bin(low + index * width, low + (index + 1) * width, counts.get(index, 0))

    def _top(self) -> list[TopValue]:
        text = f"left({text_of('x', self._column.type)}, {MAX_VALUE_LENGTH})"
        counted = "SELECT x, count(*) AS n FROM cells WHERE x IS NOT NULL GROUP BY x"
        order = f"ORDER BY n DESC, x LIMIT {MAX_TOP_VALUES}"
        return [TopValue(*row) for row in self._query(f"SELECT {text}, n FROM ({counted}) {order}")]

    def _query(self, select: str, parameters: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        values = {**self._cells.parameters, **(parameters or {})}
        return self._connection.execute(f"WITH cells AS ({self._cells.sql}) {select}", values).fetchall()
