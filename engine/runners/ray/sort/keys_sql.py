"""The statements that compute the sort key of each row.

Rows are ordered by the sort field, then by their position in the run. So no two keys are equal, and rows with equal
values can be divided anywhere. DuckDB's ``create_sort_key`` encodes both as bytes that compare in its own order.
"""

from collections.abc import Sequence

from engine.common.table_functions import read_parquet
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.sql.statements import (
    POSITION,
    Statement,
    cells_of,
    direction_of,
    position_of,
    shared_parameters,
    where_clause,
)

KEY = "_key"
"""Like `POSITION`, a name that no column of a run can have."""


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
        parameters |= {f"sources{suffix}": files, f"places{suffix}": numbers}
        where = where_clause(plan, range_, parameters, suffix)
        place = position_of(f"list_extract(CAST($places{suffix} AS BIGINT[]), CAST(file_index AS BIGINT) + 1)")
        key = f"create_sort_key({plan.sort.sql}, '{direction_of(plan)} NULLS LAST', {place}, 'ASC NULLS LAST')"
        source = f"{read_parquet(f'$sources{suffix}')}{where}"
        selects.append(f"SELECT {cells_of(plan)}, {place} AS {POSITION}, {key} AS {KEY} FROM {source}")
    # The job carries the shared parameters once for all tasks.
    for name in shared_parameters(plan):
        parameters.pop(name, None)
    return Statement(" UNION ALL ".join(selects), parameters)


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
