"""Where a plan becomes SQL: one COPY statement per range, or a look at a few of its rows."""

from dataclasses import dataclass

from engine.catalog.schema import ROW_ID, Reference
from engine.common.quoting import identifier, literal
from engine.common.table_functions import read_parquet
from engine.plan.planner import ExportPlan
from engine.plan.predicate import compile_predicate
from engine.plan.ranges import Range
from engine.request.formats import DELIMITERS
from engine.sql.projection import project

_ROWS_OF_A_PART = 2**40
"""More than any part has."""
PLACE = "_place"
"""The column of a row's place. Names beginning with ``_`` are refused at publishing, so no column of a run has it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and the values that it binds."""

    sql: str
    parameters: dict[str, object]


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of a plan by their place: ``limit`` of those in ``range``, after ``offset`` of them."""

    range: Range
    offset: int
    limit: int


def compile_copy(plan: ExportPlan, range_: Range, sources: list[str], target: str) -> Statement:
    """The COPY of one range: ``sources`` are what DuckDB opens for the range's parts, ``target`` is what it writes."""
    parameters: dict[str, object] = {}
    select = _select(plan, range_, sources, parameters)
    parameters["target"] = target
    # Without USE_TMP_FILE false DuckDB writes to another name first, and renames.
    return Statement(
        f"COPY ({select}) TO $target ({copy_options(plan, first=range_.ordinal == 0)}, USE_TMP_FILE false)", parameters
    )


def place_of(part: str) -> str:
    """The SQL of a row's place in the run: ``part`` is the number of its part, a BIGINT.

    One number for both, since DuckDB keeps a sort key of up to 24 bytes beside its row, and longer ones elsewhere.
    """
    return f"{part} * {_ROWS_OF_A_PART} + file_row_number"


def shared_parameters(plan: ExportPlan) -> dict[str, object]:
    """What the COPY of every range binds, and to the same."""
    parameters = compile_predicate(plan.conditions).parameters
    ids = plan.request.row_ids
    if ids is not None and all(range_.rows is None for range_ in plan.ranges):
        parameters["row_ids"] = list(ids)
    return parameters


def compile_page(plan: ExportPlan, window: Window, sources: list[str], target: str) -> Statement:
    """The COPY of some of the rows that an export of the plan would have, in its order."""
    parameters: dict[str, object] = {}
    select = _select(plan, window.range, sources, parameters, window)
    parameters["target"] = target
    options = copy_options(plan, first=window.range.ordinal == 0)
    return Statement(f"COPY ({select}) TO $target ({options}, USE_TMP_FILE false)", parameters)


def compile_count(plan: ExportPlan, sources: list[str]) -> Statement:
    """How many rows an export of the plan would have."""
    parameters: dict[str, object] = {}
    source = _source(plan, sources, parameters)
    where = where_clause(plan, Range(0, ()), parameters)
    return Statement(f"SELECT count(*) FROM {source}{where}", parameters)  # noqa: S608  # quoted names, bound values


def compile_cells(plan: ExportPlan, column: Reference, sources: list[str]) -> Statement:
    """The cells of one column, as ``x``, in the rows that an export of the plan would have."""
    parameters: dict[str, object] = {}
    source = _source(plan, sources, parameters)
    where = where_clause(plan, Range(0, ()), parameters)
    return Statement(f"SELECT {column.sql} AS x FROM {source}{where}", parameters)  # noqa: S608  # quoted names, bound values


def _select(
    plan: ExportPlan, range_: Range, sources: list[str], parameters: dict[str, object], window: Window | None = None
) -> str:
    names = ", ".join(identifier(field.name) for field in plan.fields)
    if plan.sort is None:
        source, order = f"{_source(plan, sources, parameters)}{where_clause(plan, range_, parameters)}", ""
    else:
        # Sorted below the projection: beside it, ORDER BY would see the texts that the projection makes of the cells.
        source, order = f"({_placed(plan, range_, sources, names, parameters)})", f" ORDER BY {order_of(plan)}"
    if window is not None:
        order += f" LIMIT {window.limit} OFFSET {window.offset}"
    if order:
        source = f"(SELECT {names} FROM {source}{order})"  # noqa: S608  # quoted names, bound values
    return select_of(plan, source)


def order_of(plan: ExportPlan) -> str:
    """What rows that have their `PLACE` are ordered by. Raises ValueError for a plan without an order."""
    if plan.sort is None:
        raise ValueError("the plan has no order")
    return f"{plan.sort.sql} {direction_of(plan)} NULLS LAST, {PLACE}"


def direction_of(plan: ExportPlan) -> str:
    """The direction of the sort field."""
    return "DESC" if plan.request.descending else "ASC"


def _placed(plan: ExportPlan, range_: Range, sources: list[str], names: str, parameters: dict[str, object]) -> str:
    """The rows of a range with their `PLACE`, in no order."""
    if not range_.subranges:
        return _placed_piece(plan, range_, sources, names, parameters, first=0)
    opened = dict(zip((part.key for part in range_.parts), sources, strict=True))
    selects = []
    first = 0
    for number, piece in enumerate(range_.subranges):
        of_piece = [opened[part.key] for part in piece.parts]
        selects.append(_placed_piece(plan, piece, of_piece, names, parameters, first=first, suffix=str(number)))
        first += len(piece.parts)
    return " UNION ALL ".join(selects)


def _placed_piece(
    plan: ExportPlan,
    piece: Range,
    sources: list[str],
    names: str,
    parameters: dict[str, object],
    *,
    first: int,
    suffix: str = "",
) -> str:
    """``first`` is a number for the first part of the piece, with which the parts of all pieces are in run order."""
    place = place_of(f"(CAST(file_index AS BIGINT) + {first})")
    source = _source(plan, sources, parameters, suffix)
    where = where_clause(plan, piece, parameters, suffix)
    return f"SELECT {names}, {place} AS {PLACE} FROM {source}{where}"  # noqa: S608  # quoted names, bound values


def span(range_: Range, parameters: dict[str, object], suffix: str = "") -> list[str]:
    """The condition of a range that is not whole parts: DuckDB skips row groups by it before it reads them.

    What it binds goes into ``parameters``, under names with the ``suffix``.
    """
    if range_.first is None:
        return []
    parameters |= {f"first_row{suffix}": range_.first, f"end_row{suffix}": range_.end}
    return [f"file_row_number >= $first_row{suffix} AND file_row_number < $end_row{suffix}"]


def where_clause(plan: ExportPlan, range_: Range, parameters: dict[str, object], suffix: str = "") -> str:
    """The WHERE clause of a range, or nothing.

    What it binds goes into ``parameters``; the range's own names have the ``suffix``.
    """
    within = span(range_, parameters, suffix)
    conditions = [*within]
    if range_.rows is not None:
        if len(range_.rows) < (range_.end or 0) - (range_.first or 0):
            conditions.append("file_row_number IN (SELECT unnest(CAST($rows AS BIGINT[])))")
            parameters["rows"] = list(range_.rows)
    elif plan.request.row_ids is not None:
        wanted = f"{ROW_ID} IN (SELECT unnest(CAST($row_ids AS VARCHAR[])))"
        parameters["row_ids"] = list(plan.request.row_ids)
        if within and plan.sort is None:
            # Beside other columns ids are compared when those are decoded; so only what is near a hit is.
            condition = " AND ".join([*within, wanted])
            found = f"SELECT file_row_number FROM {read_parquet('$sources')} WHERE {condition}"  # noqa: S608  # our own SQL
            wanted = f"file_row_number IN ({found})"
        conditions.append(wanted)
    predicate = compile_predicate(plan.conditions)
    parameters |= predicate.parameters
    if predicate.sql:
        conditions.append(predicate.sql)
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _source(plan: ExportPlan, sources: list[str], parameters: dict[str, object], suffix: str = "") -> str:
    if sources:
        parameters[f"sources{suffix}"] = sources
        return read_parquet(f"$sources{suffix}")
    # A run of no rows has no parts, and still its columns.
    nulls = ", ".join(f"CAST(NULL AS {field.type.sql()}) AS {identifier(field.name)}" for field in plan.run.table)
    return f"(SELECT {nulls}, 0 AS file_index, 0 AS file_row_number WHERE FALSE)"


def select_of(plan: ExportPlan, source: str) -> str:
    """The cells of the plan's fields as its format spells them, from ``source``: what follows FROM."""
    return project(plan.fields, plan.request.format, plan.request.csv, source)


def copy_options(plan: ExportPlan, *, first: bool) -> str:
    """How DuckDB is told to write a range, the ``first`` one with a header if the format has one."""
    request = plan.request
    if request.format.name != "csv":
        return request.format.copy_options
    header = "true" if first else "false"
    delimiter = literal(DELIMITERS[request.csv.delimiter])
    return f"{request.format.copy_options}, HEADER {header}, DELIMITER {delimiter}"
