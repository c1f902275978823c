"""The statements of a sort that is spread over tasks.

Rows are ordered by the sort field, then by their place in the run: no two are alike, so any number of equal values can
be cut anywhere. ``create_sort_key`` spells that as bytes whose order is DuckDB's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.compile import PLACE, Statement, copy_options, direction_of, order_of, place_of, select_of, span
from engine.plan import ExportPlan
from engine.quoting import identifier
from engine.ranges import Range
from engine.readers import read_parquet
from engine.runners.slices import ALL_BUCKETS, BUCKET, SLICE_NAME

_KEY, _NUMBER = "_key", "_number"
"""As `PLACE`, names that no column of a run has."""

_TABLE = "exchange"
_SLICE = "FORMAT parquet, COMPRESSION snappy, WRITE_BLOOM_FILTER false, DICTIONARY_SIZE_LIMIT 0"
"""Without dictionaries, since in one 0.0 and -0.0 are the same."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Slices of buckets in which a piece of the file begins or ends: ``rows`` of theirs are its own, after ``skip``."""

    sources: list[str]
    skip: int
    rows: int


def sample(plan: ExportPlan, range_: Range, sources: list[str], places: list[int], keys: int) -> Statement:
    """Up to ``keys`` keys of a range's rows, taken by chance, each with the number of all its rows.

    ``places`` are the numbers of the range's parts within the run.
    """
    rows, parameters = _rows(plan, range_, sources, places)
    # A fixed seed: a task that runs twice tells the same.
    sql = f"SELECT {_KEY}, (SELECT count(*) FROM found) FROM found USING SAMPLE reservoir({keys} ROWS) REPEATABLE (0)"
    return Statement(f"WITH found AS MATERIALIZED (SELECT {_KEY} FROM ({rows})) {sql}", parameters)


def split(
    plan: ExportPlan, ranges: Sequence[Range], sources: list[list[str]], places: list[list[int]], cuts: Sequence[bytes]
) -> Statement:
    """The rows of some ranges, each with the number of cuts that are not above its key.

    ``sources`` and ``places`` are those of each range.
    """
    parameters: dict[str, object] = {f"cut{number}": cut for number, cut in enumerate(cuts)}
    selects = []
    for number, one in enumerate(zip(ranges, sources, places, strict=True)):
        rows, of_range = _rows(plan, *one, suffix=str(number))
        selects.append(rows)
        parameters |= of_range
    names = ", ".join([*(identifier(field.name) for field in plan.fields), PLACE])
    return Statement(
        f"SELECT {names}, {_tree(0, len(cuts))} AS {BUCKET} FROM ({' UNION ALL '.join(selects)})", parameters
    )


def write_slices(rows: Statement) -> Statement:
    """A file of each bucket that has rows, in one pass."""
    sql = (
        f"COPY ({rows.sql}) TO $target ({_SLICE}, PARTITION_BY ({BUCKET}), FILENAME_PATTERN '{SLICE_NAME}', "
        "OVERWRITE_OR_IGNORE)"
    )
    return Statement(sql, {**rows.parameters, "target": ALL_BUCKETS})


def keep_rows(rows: Statement) -> Statement:
    """A table of the rows, in the order of their buckets, so that writing one skips most vectors of the others."""
    return Statement(f"CREATE TEMP TABLE {_TABLE} AS {rows.sql} ORDER BY {BUCKET}", rows.parameters)


def write_slice(bucket: int, target: str) -> Statement:
    """The rows of one bucket of the table as a file."""
    select = f"SELECT * EXCLUDE {BUCKET} FROM {_TABLE} WHERE {BUCKET} = $bucket"
    sql = f"COPY ({select}) TO $target ({_SLICE}, USE_TMP_FILE false)"
    return Statement(sql, {"bucket": bucket, "target": target})


def merge(plan: ExportPlan, *, first: bool, edges: Edges, sources: list[str], target: str) -> Statement:
    """All rows of ``sources`` and some of those of ``edges``, in their order, as a part of the file."""
    names = ", ".join(identifier(field.name) for field in plan.fields)
    parameters: dict[str, object] = {"target": target}
    selects = []
    if sources:
        selects.append(f"SELECT {names}, {PLACE} FROM {read_parquet('$sources')}")
        parameters["sources"] = sources
    if edges.sources:
        # Not by LIMIT or a filter behind the sort: row groups end where full vectors do, and only a sort that comes
        # last gives those. Also, a sort turns -0.0 of its key into 0.0, and what DuckDB does for small limits does not.
        number = f"row_number() OVER (ORDER BY {order_of(plan)})"
        numbered = f"SELECT {PLACE}, {number} AS {_NUMBER} FROM {read_parquet('$edges')}"
        wanted = f"SELECT {PLACE} FROM ({numbered}) WHERE {_NUMBER} > $skip AND {_NUMBER} <= $end"
        selects.append(f"SELECT {names}, {PLACE} FROM {read_parquet('$edges')} SEMI JOIN ({wanted}) USING ({PLACE})")
        parameters |= {"edges": edges.sources, "skip": edges.skip, "end": edges.skip + edges.rows}
    inner = f"SELECT {names} FROM ({' UNION ALL '.join(selects)}) ORDER BY {order_of(plan)}"
    select = select_of(plan, f"({inner})")
    sql = f"COPY ({select}) TO $target ({copy_options(plan, first=first)}, USE_TMP_FILE false)"
    return Statement(sql, parameters)


def _rows(
    plan: ExportPlan, range_: Range, sources: list[str], places: list[int], *, suffix: str = ""
) -> tuple[str, dict[str, object]]:
    """The rows of a range and their keys. The ``suffix`` tells its parameters from those of other ranges."""
    if plan.sort is None:
        raise ValueError("a plan without an order has no keys")
    parameters: dict[str, object] = {f"sources{suffix}": sources, f"places{suffix}": places}
    conditions = [*([plan.predicate] if plan.predicate else []), *span(range_, parameters, suffix)]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    place = place_of(f"list_extract(CAST($places{suffix} AS BIGINT[]), CAST(file_index AS BIGINT) + 1)")
    key = f"create_sort_key({plan.sort.sql}, '{direction_of(plan)} NULLS LAST', {place}, 'ASC NULLS LAST')"
    names = ", ".join(identifier(field.name) for field in plan.fields)
    source = f"{read_parquet(f'$sources{suffix}')}{where}"
    return f"SELECT {names}, {place} AS {PLACE}, {key} AS {_KEY} FROM {source}", parameters


def _tree(low: int, high: int) -> str:
    """The number of cuts that are not above the key, by a binary search."""
    if low == high:
        return str(low)
    middle = (low + high) // 2
    return f"CASE WHEN {_KEY} < $cut{middle} THEN {_tree(low, middle)} ELSE {_tree(middle + 1, high)} END"
