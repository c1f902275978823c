"""Where the value is that does not fit: DuckDB's error may name neither its row nor its column."""

from collections.abc import Callable, Sequence

import duckdb

from engine.common.duckdb_versions import SKIPS_FAILING_ROWS
from engine.common.quoting import identifier
from engine.publishing.sources import Source

MAX_SEARCH_BYTES = 100_000_000
"""Of files that are searched: each step reads what is before the row, about ten times in all."""
_BLOCK_ROWS = 4_000
_EXACT_ROWS = 8_000
"""Below 8,192, DuckDB applies a limit before it casts (its optimizer ``limit_pushdown``): no row too many is cast."""


def value_that_does_not_fit(
    connection: duckdb.DuckDBPyConnection, source: Source, check: Callable[[], None]
) -> tuple[int, str] | None:
    """The number, from 1, of the first row that cannot be read, and the column; None if none is found.

    ``check`` may raise, at each step. By bisection: a prefix of the rows can be read, or it cannot. Afterwards the
    connection reads no other rows: its ``error()`` may be another.
    """
    for statement in SKIPS_FAILING_ROWS:
        connection.execute(statement)
    every = [field.name for field in source.fields]

    def readable(rows: int, offset: int = 0, columns: Sequence[str] = every) -> bool:
        check()
        part = f"SELECT * FROM ({source.sql}) LIMIT {rows} OFFSET {offset}"  # noqa: S608  # numbers
        # The hash takes these columns, so that none is left out as unused, and no other is read.
        sql = f"SELECT max(hash({', '.join(map(identifier, columns))})) FROM ({part})"  # noqa: S608  # quoted names
        try:
            source.begin(connection)
            # The result is fetched, since one that is not finished would hinder the next `begin` with DuckDB 2.
            connection.execute(sql, source.parameters).fetchall()
        except duckdb.Error:
            return False
        return True

    good, bad = 0, _BLOCK_ROWS
    while readable(bad):
        good, bad = bad, 2 * bad
        if bad > 2**40:
            return None
    while bad - good > _BLOCK_ROWS:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if readable(middle) else (good, middle)
    # A longer prefix may have failed by a row just behind it, since whole vectors are cast.
    low, high = 0, _EXACT_ROWS
    if readable(high, good):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if readable(middle, good) else (low, middle)
    columns = every
    while len(columns) > 1:
        half = columns[: len(columns) // 2]
        columns = columns[len(half) :] if readable(1, good + low, half) else half
    return good + high, columns[0]
