"""The rows of a source as Parquet parts in a local folder, in order."""

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb

from engine.catalog.schema import ROW_ID
from engine.common.duckdb_versions import WRITES_BELOW_BACKSLASHES
from engine.common.quoting import identifier
from engine.errors import InvalidInput, StoreUnavailable
from engine.plan.row_ids import ROW_ID_DIGITS
from engine.publishing.sources import Source
from engine.sql.row_hash import select_with_hash

ROW_GROUPS_PER_PART = 16
USUAL_ROWS = 122_880
"""Rows of a row group, unless they are wide."""
_VECTOR_ROWS = 2_048
_WIDE = 50
"""Columns from which the planning of their checks costs more than it saves."""
_ROW_GROUP_BYTES = 24 * 1024 * 1024
"""Of a file; DuckDB's writer takes some four times as much memory for them."""
_CELL_BYTES = 10
"""What a writer holds of a cell in memory, at least."""


def write_parts(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    row_id: str | None,
    folder: Path,
    usual_options: str,
    misfit: Callable[[Source, duckdb.Error], InvalidInput],
) -> Source:
    """Write the rows into the folder, which must not be there, and return the source as it was read in the end.

    ``usual_options`` are those of COPY for rows that are not wide.
    ``misfit`` describes a value that does not fit its field.
    A source may find that it has to be read otherwise (`Source.revise`), and is then written again. Raises InvalidInput
    for a value that does not fit its field, and StoreUnavailable if DuckDB cannot write into the folder.
    """
    if "\\" in str(folder) and not WRITES_BELOW_BACKSLASHES:
        raise StoreUnavailable(
            "The spill directory cannot be used (its path has a backslash): set TAILRACE_SPILL_DIRECTORY to another."
        )
    if len(source.fields) > _WIDE:
        plan_wide_rows(connection)
    while True:
        rows = row_group_rows(len(source.fields), source.average_row)
        options = usual_options if rows == USUAL_ROWS else copy_options(rows)
        try:
            source.begin(connection)
            connection.execute(
                f"COPY ({_rows(source, row_id)}) TO $target ({options})",
                {**source.parameters, "target": str(folder)},
            )
        except duckdb.Error as error:
            shutil.rmtree(folder, ignore_errors=True)
            revised = source.revise(error)
            if revised is None:
                raise misfit(source, error) from error
            source = revised
        else:
            return source


def plan_wide_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Have DuckDB plan statements over very many columns in linear time.

    Its search for common subexpressions is quadratic: 200 checked columns took 3.2 s to plan, 0.2 s without it (1.5.5).
    """
    connection.execute("SET disabled_optimizers=current_setting('disabled_optimizers') || ',common_subexpressions'")


def row_group_rows(columns: int, average_row: float) -> int:
    """Rows of a row group, so that its cells fit into a bounded piece of memory: a few of a megabyte each."""
    row_bytes = max(columns * _CELL_BYTES, average_row, 1)
    rows = int(_ROW_GROUP_BYTES / row_bytes)
    if rows < _VECTOR_ROWS:
        # Of rows as long as these, readers bring fewer than a whole vector at a time.
        return max(rows, 1)
    return min(USUAL_ROWS, rows // _VECTOR_ROWS * _VECTOR_ROWS)


def copy_options(rows: int) -> str:
    """What COPY writes: parts of row groups with that many rows."""
    return (
        f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}, "
        f"ROW_GROUPS_PER_FILE {ROW_GROUPS_PER_PART * (USUAL_ROWS // rows)}, FILENAME_PATTERN '{{i}}'"
    )


def _rows(source: Source, row_id: str | None) -> str:
    fields = f"* EXCLUDE ({', '.join(source.texts.values())})" if source.texts else "*"
    columns, rows = f"{_row_id(source, row_id)} AS {ROW_ID}, {fields}", f"({source.sql})"
    if row_id is None:
        return f"SELECT {columns} FROM {rows}"  # noqa: S608  # quoted names
    # Rows that are only numbered cannot be compared with those of another run.
    return select_with_hash(columns, source.fields, rows, source.texts)


def _row_id(source: Source, field: str | None) -> str:
    if field is None:
        # As text in the order of the rows, so that a part's bounds tell which ids it holds.
        # to_base takes half of the time of a number that is cut to its last digits, and a quarter of that of lpad.
        return f"to_base(row_number() OVER () - 1, 10, {ROW_ID_DIGITS})"
    return source.texts.get(field) or f"CAST({identifier(field)} AS VARCHAR)"
