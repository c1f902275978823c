"""The statements that see the rows of a sort by their keys.

Rows are ordered by the sort field, then by their place in the run: no two are alike, so any number of equal values can
be cut anywhere. ``create_sort_key`` spells that as bytes whose order is DuckDB's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.common.quoting import identifier
from engine.common.table_functions import read_parquet
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.sql.statements import PLACE, Statement, copy_options, direction_of, order_of, place_of, select_of, span

KEY = "_key"
"""As `PLACE`, a name that no column of a run has."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """Between two rows of a sort: ``skip`` rows behind the first one whose key is not below ``low``.

    All of these are below ``high``. None is the lowest or the highest of all.
    """

    low: bytes | None
    high: bytes | None = None
    skip: int = 0


def rows_by_key(
    plan: ExportPlan, ranges: Sequence[Range], sources: Sequence[list[str]], places: Sequence[list[int]]
) -> Statement:
    """The rows of some ranges, with their `PLACE` and their `KEY`, in no order.

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
        conditions = [*([plan.predicate] if plan.predicate else []), *span(range_, parameters, suffix)]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        place = place_of(f"list_extract(CAST($places{suffix} AS BIGINT[]), CAST(file_index AS BIGINT) + 1)")
        key = f"create_sort_key({plan.sort.sql}, '{direction_of(plan)} NULLS LAST', {place}, 'ASC NULLS LAST')"
        source = f"{read_parquet(f'$sources{suffix}')}{where}"
        selects.append(f"SELECT {names}, {place} AS {PLACE}, {key} AS {KEY} FROM {source}")
    return Statement(" UNION ALL ".join(selects), parameters)


def sample(rows: Statement, keys: int, *, seed: int, longest: int | None = None) -> Statement:
    """Up to ``keys`` keys of the rows, taken by chance, each with the number of all rows.

    Of keys beyond the ``longest``, as many bytes. The same ``seed`` takes rows at the same places.
    """
    key = KEY if longest is None else f"array_slice({KEY}, 1, {longest})"
    sql = f"SELECT k, (SELECT count(*) FROM found) FROM found USING SAMPLE reservoir({keys} ROWS) REPEATABLE ({seed})"
    return Statement(f"WITH found AS MATERIALIZED (SELECT {key} AS k FROM ({rows.sql})) {sql}", rows.parameters)


def count(rows: Statement, cuts: Sequence[bytes]) -> Statement:
    """How many of the rows lie between one cut and the next: a bucket's number and its rows, if it has any."""
    bucket = bucket_of(cuts)
    # Not by a name, which a column of the run may have.
    sql = f"SELECT {bucket.sql}, count(*) FROM ({rows.sql}) GROUP BY 1"
    return Statement(sql, {**rows.parameters, **bucket.parameters})


def bucket_of(cuts: Sequence[bytes]) -> Statement:
    """The number of cuts that are not above a row's key."""
    return Statement(_tree(0, len(cuts)), {f"cut{number}": cut for number, cut in enumerate(cuts)})


def copy_between(
    plan: ExportPlan, rows: Statement, low: Boundary, high: Boundary, *, first: bool, target: str
) -> Statement:
    """What lies between two boundaries, in order, as a part of the file; the ``first`` one begins it."""
    parameters = {**rows.parameters, "target": target}
    begin = _first_key(rows, low, "low", parameters)
    end = _first_key(rows, high, "high", parameters)
    conditions = [*([f"{KEY} >= {begin}"] if begin else []), *([f"{KEY} < {end}"] if end else [])]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    names = ", ".join(identifier(field.name) for field in plan.fields)
    inner = f"SELECT {names} FROM ({rows.sql}){where} ORDER BY {order_of(plan)}"
    select = select_of(plan, f"({inner})")
    return Statement(f"COPY ({select}) TO $target ({copy_options(plan, first=first)}, USE_TMP_FILE false)", parameters)


def _first_key(rows: Statement, boundary: Boundary, name: str, parameters: dict[str, object]) -> str:
    """The SQL of the key of the first row behind a boundary; nothing if all rows are."""
    conditions = []
    if boundary.low is not None:
        parameters[f"{name}_from"] = boundary.low
        conditions.append(f"{KEY} >= ${name}_from")
    if not boundary.skip:
        return f"${name}_from" if conditions else ""
    if boundary.high is not None:
        parameters[f"{name}_to"] = boundary.high
        conditions.append(f"{KEY} < ${name}_to")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"(SELECT {KEY} FROM ({rows.sql}){where} ORDER BY {KEY} LIMIT 1 OFFSET {boundary.skip})"


def _tree(low: int, high: int) -> str:
    """By a binary search."""
    if low == high:
        return str(low)
    middle = (low + high) // 2
    return f"CASE WHEN {KEY} < $cut{middle} THEN {_tree(low, middle)} ELSE {_tree(middle + 1, high)} END"
