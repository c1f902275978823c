"""What a sheet cannot hold: counts the rows before any is written, and finds a cell that is too long."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from engine.errors import InvalidRequest
from engine.execute.duckdb_errors import export_error
from engine.execute.executor import ExecutionContext
from engine.execute.run_files import RunFiles
from engine.execute.session import open_session
from engine.plan.planner import ExportPlan, cell_too_long, too_many_rows
from engine.sql.statements import Statement, compile_count, compile_too_long


def check_rows(plan: ExportPlan, files: RunFiles, context: ExecutionContext) -> None:
    """Raise InvalidRequest if the file would have more rows than its format allows.

    They are counted only if there may be as many. Raises what an export raises.
    """
    format_ = plan.request.format
    if format_.max_rows is None or plan.max_rows <= format_.max_rows:
        return
    parts = {part.key: part for range_ in plan.ranges for part in range_.parts}
    with _session(files, context, threads=context.settings.threads) as connection:
        (rows,) = _one_row(connection, compile_count(plan, files.names(tuple(parts.values()))))
    if rows > format_.max_rows:
        raise too_many_rows(format_, rows)


def find_long_cell(plan: ExportPlan, files: RunFiles, context: ExecutionContext) -> InvalidRequest:
    """The error that names the first cell of the sheet that is too long. Raises what an export raises."""
    before = 1
    with _session(files, context, threads=1) as connection:
        for range_ in plan.ranges:
            rows, place, column = _one_row(connection, compile_too_long(plan, range_, files.names(range_.parts)))
            if place is not None:
                return cell_too_long(plan.fields[column].name, before + place)
            before += rows
    raise AssertionError("an export and the search for its long cell disagree")


@contextmanager
def _session(files: RunFiles, context: ExecutionContext, *, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    parts = files.file_system()
    try:
        with (
            open_session(
                context.settings,
                threads=threads,
                allowed=files.allowed,
                file_systems=(parts, *files.others),
                instances=context.instances,
            ) as connection,
            context.cancel.watching(connection),
        ):
            yield connection
    except duckdb.Error as error:
        raise export_error(error, parts, context.cancel) from error


def _one_row(connection: duckdb.DuckDBPyConnection, statement: Statement) -> tuple[int, ...]:
    row: tuple[int, ...] | None = statement.execute(connection).fetchone()
    if row is None:
        raise AssertionError("an aggregate returns one row")
    return row
