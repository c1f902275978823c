"""Which row has the value that does not fit: DuckDB's error names the column alone."""

from collections.abc import Callable

import duckdb

from engine.publishing.sources import Source

MAX_SEARCH_BYTES = 100_000_000
"""Of files that are searched: each step reads what is before the row, about ten times in all."""
_BLOCK_ROWS = 4_000
_EXACT_ROWS = 8_000
"""Below 8,192, DuckDB applies a limit before it casts (its optimizer ``limit_pushdown``): no row too many is cast."""


def row_that_does_not_fit(connection: duckdb.DuckDBPyConnection, source: Source, check: Callable[[], None]) -> int:
    """The number, from 1, of the first row that cannot be read; 0 if none is found. ``check`` may raise, at each step.

    By bisection: a prefix of the rows can be read, or it cannot.
    """

    def readable(rows: int, offset: int = 0) -> bool:
        check()
        # The hash takes every column, so that none is left out as unused.
        part = f"SELECT * FROM ({source.sql}) LIMIT {rows} OFFSET {offset}"  # noqa: S608  # numbers
        sql = f"SELECT max(hash(found)) FROM ({part}) AS found"  # noqa: S608  # as above
        try:
            source.begin(connection)
            connection.execute(sql, source.parameters)
        except duckdb.Error:
            return False
        return True

    good, bad = 0, _BLOCK_ROWS
    while readable(bad):
        good, bad = bad, 2 * bad
        if bad > 2**40:
            return 0
    while bad - good > _BLOCK_ROWS:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if readable(middle) else (good, middle)
    # A longer prefix may have failed by a row just behind it, since whole vectors are cast.
    low, high = 0, _EXACT_ROWS
    if readable(high, good):
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if readable(middle, good) else (low, middle)
    return good + high
