"""The statements of a sort that is spread over tasks.

Rows are ordered by the sort field, then by their part and their number within it: no two are alike, so any number of
equal values can be cut anywhere. ``create_sort_key`` spells that as bytes whose order is DuckDB's own.
"""

from collections.abc import Sequence

from engine.compile import Statement, copy_options, select_of
from engine.plan import ExportPlan
from engine.quoting import identifier
from engine.ranges import Range

PART, ROW, BUCKET, _KEY, _NUMBER = "_part", "_row", "_bucket", "_key", "_number"
"""Names beginning with ``_`` are refused at publishing, so no column has them."""

_SLICE_OPTIONS = "FORMAT parquet, COMPRESSION snappy, WRITE_BLOOM_FILTER false, DICTIONARY_SIZE_LIMIT 0"
"""Without dictionaries, since in one 0.0 and -0.0 are the same."""


def sample(plan: ExportPlan, range_: Range, sources: list[str], places: list[int], keys: int) -> Statement:
    """Up to ``keys`` keys of a range's rows, taken by chance, each with the number of all its rows.

    ``places`` are the numbers of the range's parts within the run.
    """
    rows, parameters = _rows(plan, range_, sources, places)
    # A fixed seed: a task that runs twice tells the same.
    sql = f"SELECT {_KEY}, (SELECT count(*) FROM found) FROM found USING SAMPLE reservoir({keys} ROWS) REPEATABLE (0)"
    return Statement(f"WITH found AS MATERIALIZED (SELECT {_KEY} FROM ({rows})) {sql}", parameters)


def split(
    plan: ExportPlan, range_: Range, sources: list[str], places: list[int], cuts: Sequence[bytes], table: str
) -> Statement:
    """The rows of a range, each with the number of cuts that are not above its key; creates or extends ``table``."""
    rows, parameters = _rows(plan, range_, sources, places)
    parameters |= {f"cut{number}": cut for number, cut in enumerate(cuts)}
    names = ", ".join([*(identifier(field.name) for field in plan.fields), PART, ROW])
    # In the order of buckets, so that writing one of them skips most vectors of the others.
    select = f"SELECT {names}, {_tree(0, len(cuts))} AS {BUCKET} FROM ({rows}) ORDER BY {BUCKET}"
    return Statement(f"{table} {select}", parameters)


def count_buckets(table: str) -> str:
    """The numbers of buckets, each with the number of its rows."""
    return f"SELECT {BUCKET}, count(*) FROM {table} GROUP BY ALL"


def write_slice(table: str, bucket: int, target: str) -> Statement:
    """The rows of one bucket as a file."""
    select = f"SELECT * EXCLUDE {BUCKET} FROM {table} WHERE {BUCKET} = $bucket"
    sql = f"COPY ({select}) TO $target ({_SLICE_OPTIONS}, USE_TMP_FILE false)"
    return Statement(sql, {"bucket": bucket, "target": target})


def merge(
    plan: ExportPlan, *, first: bool, sources: list[str], among: int, skip: int, rows: int, target: str
) -> Statement:
    """Rows ``skip <= n < skip + rows`` of the ``among`` rows of these slices in their order, as a part of the file."""
    names = ", ".join(identifier(field.name) for field in plan.fields)
    parameters: dict[str, object] = {"sources": sources, "target": target}
    chosen = ""
    if rows < among:
        # Not by LIMIT or a filter behind the sort: row groups end where full vectors do, and only a sort that comes
        # last gives those. Also, a sort turns -0.0 of its key into 0.0, and what DuckDB does for small limits does not.
        number = f"row_number() OVER (ORDER BY {_order(plan)})"
        numbered = f"SELECT {PART}, {ROW}, {number} AS {_NUMBER} FROM read_parquet($sources)"
        wanted = f"SELECT {PART}, {ROW} FROM ({numbered}) WHERE {_NUMBER} > $skip AND {_NUMBER} <= $end"
        chosen = f" SEMI JOIN ({wanted}) USING ({PART}, {ROW})"
        parameters |= {"skip": skip, "end": skip + rows}
    inner = f"SELECT {names} FROM read_parquet($sources){chosen} ORDER BY {_order(plan)}"
    select = select_of(plan, f"({inner})")
    sql = f"COPY ({select}) TO $target ({copy_options(plan, first=first)}, USE_TMP_FILE false)"
    return Statement(sql, parameters)


def _order(plan: ExportPlan) -> str:
    if plan.sort is None:
        raise ValueError("a plan without an order has no slices")
    return f"{plan.sort.sql} {_direction(plan)} NULLS LAST, {PART}, {ROW}"


def _rows(plan: ExportPlan, range_: Range, sources: list[str], places: list[int]) -> tuple[str, dict[str, object]]:
    if plan.sort is None:
        raise ValueError("a plan without an order has no keys")
    parameters: dict[str, object] = {"sources": sources, "places": places}
    conditions = [plan.predicate] if plan.predicate else []
    if range_.first is not None:
        conditions.append("file_row_number >= $first_row AND file_row_number < $end_row")
        parameters |= {"first_row": range_.first, "end_row": range_.end}
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    part, row = (
        "list_extract(CAST($places AS BIGINT[]), CAST(file_index AS BIGINT) + 1)",
        "CAST(file_row_number AS BIGINT)",
    )
    sort, last = f"{plan.sort.sql}, '{_direction(plan)} NULLS LAST'", "'ASC NULLS LAST'"
    key = f"create_sort_key({sort}, {part}, {last}, {row}, {last})"
    names = ", ".join(identifier(field.name) for field in plan.fields)
    select = f"SELECT {names}, {part} AS {PART}, {row} AS {ROW}, {key} AS {_KEY} FROM read_parquet($sources){where}"
    return select, parameters


def _tree(low: int, high: int) -> str:
    """The number of cuts that are not above the key, by a binary search."""
    if low == high:
        return str(low)
    middle = (low + high) // 2
    return f"CASE WHEN {_KEY} < $cut{middle} THEN {_tree(low, middle)} ELSE {_tree(middle + 1, high)} END"


def _direction(plan: ExportPlan) -> str:
    return "DESC" if plan.request.descending else "ASC"
