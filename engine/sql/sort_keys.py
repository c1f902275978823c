"""The statements that compute the sort key of each row.

Rows are ordered by the sort field, then by their position in the run. So no two keys are equal, and rows with equal
values can be divided anywhere. DuckDB's ``create_sort_key`` encodes both as bytes that compare in its own order.
"""

from collections.abc import Sequence
from dataclasses import replace

from engine.common.table_functions import read_parquet
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.sql.statements import (
    POSITION,
    Statement,
    cells_of,
    comparison_before,
    copy_options,
    direction_of,
    names_of,
    order_of,
    position_of,
    rows_of,
    select_of,
    shared_parameters,
    where_clause,
)

KEY = "_key"
"""Like `POSITION`, a name that no column of a run can have."""

BUCKET_OPTIONS = "FORMAT parquet, COMPRESSION snappy, WRITE_BLOOM_FILTER false, DICTIONARY_SIZE_LIMIT 0"
"""Of files of rows that are sorted later. Without dictionaries, which do not distinguish 0.0 and -0.0."""


def rows_by_key(
    plan: ExportPlan, ranges: Sequence[Range], sources: Sequence[list[str]], places: Sequence[list[int]]
) -> Statement:
    """The rows of some ranges, unordered, with their `POSITION` and their `KEY`.

    ``sources`` are the files that DuckDB opens for the parts of each range, ``places`` the positions of these parts in
    the run.
    """
    if plan.sort is None:
        raise ValueError("a plan without a sort field has no keys")
    parameters: dict[str, object] = {}
    selects = []
    for number, (range_, files, numbers) in enumerate(zip(ranges, sources, places, strict=True)):
        suffix = str(number)
        parameters[f"places{suffix}"] = numbers
        where = where_clause(plan, range_, parameters, suffix)
        place = position_of(f"list_extract(CAST($places{suffix} AS BIGINT[]), CAST(file_index AS BIGINT) + 1)")
        key = f"create_sort_key({plan.sort.sql}, '{direction_of(plan)} NULLS LAST', {place}, 'ASC NULLS LAST')"
        source = f"{rows_of(plan, files, parameters, suffix)}{where}"
        selects.append(f"SELECT {cells_of(plan)}, {place} AS {POSITION}, {key} AS {KEY} FROM {source}")
    # The job carries the shared parameters once for all tasks.
    for name in shared_parameters(plan):
        parameters.pop(name, None)
    every_file = [file for files in sources for file in files]
    return Statement(" UNION ALL ".join(selects), parameters, comparison_before(plan, every_file))


def sample(rows: Statement, keys: int, *, seed: int) -> Statement:
    """A random sample of up to ``keys`` keys, each with the number of all rows. Equal seeds sample equal positions."""
    sql = f"SELECT k, (SELECT count(*) FROM found) FROM found USING SAMPLE reservoir({keys} ROWS) REPEATABLE ({seed})"
    return Statement(f"WITH found AS MATERIALIZED (SELECT {KEY} AS k FROM ({rows.sql})) {sql}", rows.parameters)


def bucket_of(cuts: Sequence[bytes]) -> Statement:
    """The number of cuts that are not greater than a row's key."""
    return Statement(_binary_search(0, len(cuts)), {f"cut{number}": cut for number, cut in enumerate(cuts)})


def _binary_search(low: int, high: int) -> str:
    if low == high:
        return str(low)
    middle = (low + high) // 2
    return (
        f"CASE WHEN {KEY} < $cut{middle} THEN {_binary_search(low, middle)} ELSE {_binary_search(middle + 1, high)} END"
    )


def sample_keys(rows: Statement, keys: int) -> Statement:
    """A random sample of up to ``keys`` keys, in their order."""
    sql = f"SELECT k FROM (SELECT {KEY} AS k FROM ({rows.sql})) USING SAMPLE reservoir({keys} ROWS) REPEATABLE (0)"
    return replace(rows, sql=f"SELECT k FROM ({sql}) ORDER BY k")


def write_buckets(plan: ExportPlan, rows: Statement, cuts: Sequence[bytes], folder: str) -> Statement:
    """Write the rows between two cuts to ``{folder}/_bucket={number}/rows0.parquet``; no file if there are none."""
    bucket = bucket_of(cuts)
    select = f"SELECT {names_of(plan)}, {POSITION}, {bucket.sql} AS _bucket FROM ({rows.sql})"
    files = "PARTITION_BY (_bucket), FILENAME_PATTERN 'rows', OVERWRITE_OR_IGNORE"
    # DuckDB holds a row group of each file in memory.
    sql = f"COPY ({select}) TO $target ({BUCKET_OPTIONS}, ROW_GROUP_SIZE 2048, {files})"
    return replace(rows, sql=sql, parameters={**rows.parameters, **bucket.parameters, "target": folder})


def sorted_bucket(plan: ExportPlan, file: str, target: str, *, first: bool) -> Statement:
    """Write the rows of a bucket as a range of the export's file."""
    rows = f"(SELECT {names_of(plan)} FROM {read_parquet('$sources')} ORDER BY {order_of(plan)})"
    sql = f"COPY ({select_of(plan, rows)}) TO $target ({copy_options(plan, first=first)}, USE_TMP_FILE false)"
    return Statement(sql, {"sources": [file], "target": target})
