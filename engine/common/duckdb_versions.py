"""What the code does differently with DuckDB 1.5 and 2.0: the one place that asks for the version."""

import duckdb

_IS_1_5 = duckdb.__version__.startswith("1.")

READING_THREADS: dict[str, int] = {} if _IS_1_5 else {"async_threads": 0}
"""Configuration of every instance. DuckDB 2 has threads that only read, by default eight for each instance, with 512 MB
of address space. Without them it reads as 1.5 does: in the threads of the session, whose number is limited."""

WRITES_REQUIRED: tuple[str, ...] = () if _IS_1_5 else ("statistics_propagation",)
"""Optimizers by which DuckDB 2 proves that a column has no nulls, and then writes it as ``required`` to Parquet. The
ranges of an export, and the parts of a run, have to have one schema, whatever values they hold."""

SKIPS_FAILING_ROWS: tuple[str, ...] = (
    () if _IS_1_5 else ("CREATE OR REPLACE TEMP MACRO error(m) AS CASE WHEN CAST(m AS TINYINT) = 1 THEN NULL END",)
)
"""Statements after which rows that OFFSET leaves out are not computed, as in 1.5. DuckDB 2 computes them if they call a
volatile function, such as ``error()``. A cast is not volatile: this macro casts the message to a number, and fails."""

WRITES_BELOW_BACKSLASHES: bool = _IS_1_5
"""Whether a COPY to several files finds a folder with a backslash in its path. DuckDB 2 takes it for a slash."""

JSON_LEVELS = 200 if _IS_1_5 else 127
"""Levels of objects and lists in a row of JSON that is published. DuckDB 2 reads no more from a file."""


def close_default_instance() -> None:
    """Close the instance that DuckDB 1.5 opens when it is imported. DuckDB 2 opens it only when it is asked for."""
    if _IS_1_5:
        duckdb.default_connection().close()
