"""The statements of a shuffle: rows into slices by bucket, and slices into a segment of the file."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.common.table_functions import read_parquet
from engine.plan.planner import ExportPlan
from engine.runners.ray.sort.shuffle_files import ALL_BUCKETS, BUCKET, SLICE_NAME
from engine.sql.sort_keys import BUCKET_OPTIONS, bucket_of
from engine.sql.statements import POSITION, Statement, copy_options, names_of, order_of, select_of

_NUMBER = "_number"
"""Like `POSITION`, a name that no column of a run can have."""

_TABLE = "shuffle"


@dataclass(frozen=True, slots=True)
class EdgeSlices:
    """Slices of the buckets in which a segment begins or ends: it takes ``rows`` of their rows, after ``skip``."""

    sources: list[str]
    skip: int
    rows: int


def split(plan: ExportPlan, rows: Statement, cuts: Sequence[bytes]) -> Statement:
    """The rows with the number of their bucket."""
    bucket = bucket_of(cuts)
    sql = f"SELECT {names_of(plan)}, {POSITION}, {bucket.sql} AS {BUCKET} FROM ({rows.sql})"
    return Statement(sql, {**rows.parameters, **bucket.parameters})


def write_slices(rows: Statement) -> Statement:
    """Write a file for each bucket that has rows, in one pass."""
    sql = (
        f"COPY ({rows.sql}) TO $target ({BUCKET_OPTIONS}, PARTITION_BY ({BUCKET}), FILENAME_PATTERN '{SLICE_NAME}', "
        "OVERWRITE_OR_IGNORE)"
    )
    return Statement(sql, {**rows.parameters, "target": ALL_BUCKETS})


def create_bucket_table(rows: Statement) -> Statement:
    """Create a table of the rows in the order of their buckets: writing a bucket then skips most vectors of others."""
    return Statement(f"CREATE TEMP TABLE {_TABLE} AS {rows.sql} ORDER BY {BUCKET}", rows.parameters)


def write_slice(bucket: int, target: str) -> Statement:
    """Write the rows of one bucket of the table to a file."""
    select = f"SELECT * EXCLUDE {BUCKET} FROM {_TABLE} WHERE {BUCKET} = $bucket"
    sql = f"COPY ({select}) TO $target ({BUCKET_OPTIONS}, USE_TMP_FILE false)"
    return Statement(sql, {"bucket": bucket, "target": target})


def merge(plan: ExportPlan, *, first: bool, edges: EdgeSlices, sources: list[str], target: str) -> Statement:
    """Write all rows of ``sources`` and some rows of ``edges``, sorted, as a segment of the file."""
    names = names_of(plan)
    parameters: dict[str, object] = {"target": target}
    selects = []
    if sources:
        selects.append(f"SELECT {names}, {POSITION} FROM {read_parquet('$sources')}")
        parameters["sources"] = sources
    if edges.sources:
        # No LIMIT and no filter after the sort: row groups end where full vectors do, and only a sort as the last
        # operator emits full vectors. Also, a sort turns -0.0 of its key into 0.0, and DuckDB's top-N does not.
        number = f"row_number() OVER (ORDER BY {order_of(plan)})"
        numbered = f"SELECT {POSITION}, {number} AS {_NUMBER} FROM {read_parquet('$edges')}"
        wanted = f"SELECT {POSITION} FROM ({numbered}) WHERE {_NUMBER} > $skip AND {_NUMBER} <= $end"
        selects.append(
            f"SELECT {names}, {POSITION} FROM {read_parquet('$edges')} SEMI JOIN ({wanted}) USING ({POSITION})"
        )
        parameters |= {"edges": edges.sources, "skip": edges.skip, "end": edges.skip + edges.rows}
    inner = f"SELECT {names} FROM ({' UNION ALL '.join(selects)}) ORDER BY {order_of(plan)}"
    select = select_of(plan, f"({inner})")
    sql = f"COPY ({select}) TO $target ({copy_options(plan, first=first)}, USE_TMP_FILE false)"
    return Statement(sql, parameters)
