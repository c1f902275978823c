"""Counts how many rows of a new run were added, changed and removed since the latest finished run."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run, RunChanges
from engine.common.cancellation import CancelToken
from engine.common.table_functions import exact_path
from engine.errors import EngineError
from engine.execute.run_files import RunFiles
from engine.execute.session import open_session
from engine.plan.changes import changes_table
from engine.settings import DuckDBSettings
from engine.sql.changes import ComparedRun, count_changes, create_differing


def with_changes(
    run: Run,
    since: Run,
    settings: DuckDBSettings,
    paths: Sequence[Path],
    results: ResultStore,
    cancel: CancelToken,
) -> Run:
    """The run with the counts of its `RunChanges`, if the two can be compared; ``paths`` are its parts.

    If the older run cannot be read, a note says so: that must not prevent a publication. Raises Cancelled.
    """
    if not run.is_comparable(since):
        return run
    try:
        # One thread, as for the rows: a publisher has one.
        with open_session(settings, threads=1, locked=False) as connection:
            counts = _count(run, since, connection, paths, results, cancel)
    except (EngineError, duckdb.Error):
        cancel.raise_if_cancelled()
        note = f"The changes since the run {since.run_id} were not counted, since that run cannot be read or compared."
        return run.model_copy(update={"notes": (*run.notes, note)})
    return run.model_copy(update={"changes": counts})


def _count(
    run: Run,
    since: Run,
    connection: duckdb.DuckDBPyConnection,
    paths: Sequence[Path],
    results: ResultStore,
    cancel: CancelToken,
) -> RunChanges:
    results.check_parts(since)
    files = RunFiles(results.store, since.parts, since.published_at)
    connection.register_filesystem(files.file_system())
    table = changes_table(run, since)
    newer = ComparedRun(run, [exact_path(path) for path in paths], "newer")
    older = ComparedRun(since, files.names(since.parts), "older")
    parameters = {one.name: one.sources for one in (newer, older) if one.sources}
    with cancel.watching(connection):
        connection.execute(create_differing(newer, older, table), parameters)
        counts = connection.execute(count_changes(newer, older, table), parameters).fetchone()
    cancel.raise_if_cancelled()
    if counts is None:
        raise AssertionError("an aggregate returns one row")
    added, changed, removed, *columns = counts
    names = (field.name for field in table.delivered)
    return RunChanges(
        since_run_id=since.run_id,
        since_version=since.version,
        added=added,
        changed=changed,
        removed=removed,
        columns={name: rows for name, rows in zip(names, columns, strict=True) if rows},
    )
