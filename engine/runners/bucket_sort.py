"""Sorts in bounded memory: the rows are split into files by sampled cuts of their keys, and each file is sorted alone.

DuckDB's own sort takes nearly all of its memory limit before it spills, and its parallel writer hundreds of megabytes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from engine.common.chunk import Chunk
from engine.common.table_functions import exact_path
from engine.common.temp_folders import spill_folder
from engine.execute.assemblers import assembler_for
from engine.execute.duckdb_errors import export_error
from engine.execute.executor import Copies, ExecutionContext, run_copies, run_ranges
from engine.execute.run_files import RunFiles, target_of
from engine.execute.session import open_session
from engine.execute.spill_limit import limit_spill
from engine.plan.planner import ExportPlan
from engine.settings import megabytes
from engine.sql.sort_keys import rows_by_key, sample_keys, sorted_bucket, write_buckets
from engine.sql.statements import Statement, shared_parameters

_BUCKET_BYTES = 5 * 1024 * 1024
"""Compressed bytes of the run for each bucket, of which the sort takes some 50 MB."""

_BUCKET_ROWS = 125_000
"""The text of rows that compress well may be large."""

_MAX_BUCKETS = 32
"""DuckDB buffers rows of each bucket, and has a file open for it."""

_KEYS_PER_CUT = 100

_BUFFERED_BYTES = 1_250_000
"""Compressed bytes of the run whose rows DuckDB buffers before it writes them to the buckets."""

_VECTOR_ROWS, _MAX_BUFFERED_ROWS = 2048, 30_720


def can_sort_in_buckets(plan: ExportPlan) -> bool:
    """Whether the file can be written by `sort_in_buckets`: it is text whose bytes do not depend on its ranges."""
    is_text = plan.request.format.name in ("csv", "json") and plan.request.compression.name == "none"
    return is_text and plan.sort is not None


def sort_in_buckets(
    plan: ExportPlan, files: RunFiles, forward: Callable[[Chunk], None], context: ExecutionContext
) -> int:
    """Write a sorted file like `run_ranges`, with the same bytes. Raises what that raises."""
    size = sum(range_.bytes for range_ in plan.ranges)
    count = min(_MAX_BUCKETS, math.ceil(max(size / _BUCKET_BYTES, plan.max_rows / _BUCKET_ROWS)))
    if count < 2:
        return run_ranges(plan, files, forward, context)
    with spill_folder(context.settings.spill_directory) as folder:
        # The names that DuckDB gives.
        paths = [folder.absolute() / f"_bucket={bucket}" / "rows0.parquet" for bucket in range(count)]
        _split(plan, files, context, folder.absolute(), paths)
        names = [exact_path(path) for path in paths]
        found = [name for path, name in zip(paths, names, strict=True) if path.is_file()]
        if not found:
            return run_ranges(plan, files, forward, context)

        def copy(ordinal: int) -> Statement:
            return sorted_bucket(plan, found[ordinal], target_of(ordinal), first=ordinal == 0)

        # One bucket at a time.
        one = replace(context, settings=context.settings.model_copy(update={"threads": 1}), warm=None)
        buckets = RunFiles(files.store, (), files.published_at, other_names=found)
        assembler = assembler_for(plan.request.format.name, plan.request.compression, bom=plan.request.csv.bom)
        return run_copies(Copies(len(found), copy), buckets, assembler, forward, one)


def _split(plan: ExportPlan, files: RunFiles, context: ExecutionContext, folder: Path, paths: Sequence[Path]) -> None:
    """Write the rows between two cuts to each path; no file if there are none."""
    rows = _rows(plan, files)
    parts = files.file_system()
    spill_bytes = megabytes(context.settings.spill_limit) * 1_000_000
    try:
        with (
            open_session(
                context.settings,
                threads=1,
                allowed=[*files.allowed, *map(str, (folder, *(path.parent for path in paths), *paths))],
                file_systems=(parts, *files.others),
                instances=context.instances,
                flush_rows=_buffered_rows(plan),
            ) as connection,
            context.cancel.watching(connection),
            limit_spill(connection, folder, spill_bytes),
        ):
            keys = sample_keys(rows, _KEYS_PER_CUT * len(paths)).execute(connection).fetchall()
            cuts = [keys[len(keys) * bucket // len(paths)][0] for bucket in range(1, len(paths))] if keys else []
            write_buckets(plan, rows, cuts, str(folder)).execute(connection)
    except duckdb.Error as error:
        raise export_error(error, parts, context.cancel) from error
    context.cancel.raise_if_cancelled()


def _rows(plan: ExportPlan, files: RunFiles) -> Statement:
    (range_,) = plan.ranges
    ranges = range_.subranges or (range_,)
    places = {part.key: number for number, part in enumerate(plan.parts)}
    sources = [files.names(one.parts) for one in ranges]
    rows = rows_by_key(plan, ranges, sources, [[places[part.key] for part in one.parts] for one in ranges])
    return replace(rows, parameters={**shared_parameters(plan), **rows.parameters})


def _buffered_rows(plan: ExportPlan) -> int:
    row_bytes = sum(part.bytes for part in plan.run.parts) / max(1, plan.run.rows)
    return max(_VECTOR_ROWS, min(_MAX_BUFFERED_ROWS, int(_BUFFERED_BYTES / row_bytes)))
