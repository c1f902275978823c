"""The statements that see the rows of a sort by their keys.

Rows are ordered by the sort field, then by their place in the run: no two are alike, so any number of equal values can
be cut anywhere. ``create_sort_key`` spells that as bytes whose order is DuckDB's own.
"""

from collections.abc import Sequence

from engine.common.quoting import identifier
from engine.common.table_functions import read_parquet
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.sql.statements import POSITION, Statement, direction_of, position_of, shared_parameters, where_clause

KEY = "_key"
"""As `POSITION`, a name that no column of a run has."""


def rows_by_key(
    plan: ExportPlan, ranges: Sequence[Range], sources: Sequence[list[str]], places: Sequence[list[int]]
) -> Statement:
    """The rows of some ranges, with their `POSITION` and their `KEY`, in no order.

    ``sources`` are what DuckDB opens for the parts of each range, ``places`` the numbers of these within the run.
    """
    if plan.sort is None:
        raise ValueError("a plan without an order has no keys")
    parameters: dict[str, object] = {}
    names = ", ".join(identifier(field.name) for field in plan.fields)
    selects = []
    for number, (range_, opened, numbers) in enumerate(zip(ranges, sources, places, strict=True)):
        suffix = str(number)
        parameters |= {f"sources{suffix}": opened, f"places{suffix}": numbers}
        kept = where_clause(plan, range_, parameters, suffix)
        place = position_of(f"list_extract(CAST($places{suffix} AS BIGINT[]), CAST(file_index AS BIGINT) + 1)")
        key = f"create_sort_key({plan.sort.sql}, '{direction_of(plan)} NULLS LAST', {place}, 'ASC NULLS LAST')"
        source = f"{read_parquet(f'$sources{suffix}')}{kept}"
        selects.append(f"SELECT {names}, {place} AS {POSITION}, {key} AS {KEY} FROM {source}")
    # The job carries what all statements bind, once for all tasks.
    for name in shared_parameters(plan):
        parameters.pop(name, None)
    return Statement(" UNION ALL ".join(selects), parameters)


def sample(rows: Statement, keys: int, *, seed: int) -> Statement:
    """A random sample of up to ``keys`` keys, each with the number of all rows; equal seeds sample equal places."""
    sql = f"SELECT k, (SELECT count(*) FROM found) FROM found USING SAMPLE reservoir({keys} ROWS) REPEATABLE ({seed})"
    return Statement(f"WITH found AS MATERIALIZED (SELECT {KEY} AS k FROM ({rows.sql})) {sql}", rows.parameters)


def bucket_of(cuts: Sequence[bytes]) -> Statement:
    """The number of cuts that are not above a row's key."""
    return Statement(_tree(0, len(cuts)), {f"cut{number}": cut for number, cut in enumerate(cuts)})


def _tree(low: int, high: int) -> str:
    """By a binary search."""
    if low == high:
        return str(low)
    middle = (low + high) // 2
    return f"CASE WHEN {KEY} < $cut{middle} THEN {_tree(low, middle)} ELSE {_tree(middle + 1, high)} END"
