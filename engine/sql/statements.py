"""Compile a plan to SQL: one COPY per range, a page of its rows, their number, or the cells of one column."""

from dataclasses import dataclass

import duckdb

from engine.catalog.manifest import Run
from engine.catalog.schema import CHANGED, ROW_ID, Reference
from engine.common.quoting import identifier, literal
from engine.common.table_functions import read_parquet
from engine.plan.planner import ExportPlan
from engine.plan.predicate import compile_predicate
from engine.plan.ranges import Range
from engine.request.formats import DELIMITERS
from engine.sql.changes import ComparedRun, changed_rows, create_differing, first_differences
from engine.sql.projection import project
from engine.sql.xlsx_cells import cell_content, is_too_long

_MAX_PART_ROWS = 2**40
POSITION = "_position"
"""The column of a row's position in the run. Published fields cannot begin with ``_``, so the name is free."""
SORT_KEY = "_sort"
"""The column that a file is sorted by if it does not have that column itself."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and the values that it binds, by name. ``before`` makes what it reads, once in a session."""

    sql: str
    parameters: dict[str, object]
    before: "Statement | None" = None

    def execute(self, connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        """Run ``before``, then the statement, whose result the connection then has. Raises duckdb.Error."""
        if self.before is not None:
            self.before.execute(connection)
        return connection.execute(self.sql, self.parameters)


@dataclass(frozen=True, slots=True)
class PageSlice:
    """Part of a plan's result: ``limit`` rows of ``range`` after the first ``offset``."""

    range: Range
    offset: int
    limit: int


def compile_copy(plan: ExportPlan, range_: Range, sources: list[str], target: str) -> Statement:
    """Compile the COPY of one range. ``sources`` are paths of its parts for DuckDB; ``target`` is the output."""
    parameters: dict[str, object] = {}
    select = _select(plan, range_, sources, parameters)
    parameters["target"] = target
    # Without USE_TMP_FILE false, DuckDB writes to a temporary name and renames it.
    return Statement(
        f"COPY ({select}) TO $target ({copy_options(plan, first=range_.ordinal == 0)}, USE_TMP_FILE false)",
        parameters,
        comparison_before(plan, sources),
    )


def position_of(part: str) -> str:
    """SQL for a row's position in the run; ``part`` is SQL for the number of its part, a BIGINT.

    One number rather than two, since DuckDB stores sort keys of up to 24 bytes with the row, and longer ones elsewhere.
    """
    return f"{part} * {_MAX_PART_ROWS} + file_row_number"


def shared_parameters(plan: ExportPlan) -> dict[str, object]:
    """The parameters that have the same value in the COPY of every range."""
    parameters = compile_predicate(plan.conditions).parameters
    ids = plan.request.row_ids
    if ids is not None and all(range_.rows is None for range_ in plan.ranges):
        parameters["row_ids"] = list(ids)
    return parameters


def compile_page(plan: ExportPlan, page: PageSlice, sources: list[str], target: str) -> Statement:
    """Compile the COPY of a page of the export's rows, in its order; ``sources`` are for ``page.range``."""
    parameters: dict[str, object] = {}
    select = _select(plan, page.range, sources, parameters, page)
    parameters["target"] = target
    options = copy_options(plan, first=page.range.ordinal == 0)
    return Statement(
        f"COPY ({select}) TO $target ({options}, USE_TMP_FILE false)", parameters, comparison_before(plan, sources)
    )


def compile_count(plan: ExportPlan, sources: list[str]) -> Statement:
    """Compile a count of the export's rows."""
    parameters: dict[str, object] = {}
    source = rows_of(plan, sources, parameters)
    where = where_clause(plan, Range(0, ()), parameters)
    sql = f"SELECT count(*) FROM {source}{where}"  # noqa: S608  # quoted names, bound values
    return Statement(sql, parameters, comparison_before(plan, sources))


def compile_cells(plan: ExportPlan, column: Reference, sources: list[str]) -> Statement:
    """Compile a SELECT of one column, named ``x``, over the export's rows in any order."""
    parameters: dict[str, object] = {}
    source = rows_of(plan, sources, parameters)
    where = where_clause(plan, Range(0, ()), parameters)
    return Statement(f"SELECT {column.sql} AS x FROM {source}{where}", parameters)  # noqa: S608  # quoted names, bound values


def compile_first_differences(plan: ExportPlan, sources: list[str], limit: int, size: int) -> Statement:
    """Compile `first_differences` for a plan of changes of two runs that have parts."""
    if plan.since is None:
        raise ValueError("the plan has no changes")
    newer, older = _compared_runs(plan, plan.since, sources)
    parameters = {**_sources_of(newer, older), "limit": limit, "size": size}
    return Statement(first_differences(newer, older, plan.table), parameters, comparison_before(plan, sources))


def compile_too_long(plan: ExportPlan, range_: Range, sources: list[str]) -> Statement:
    """Compile a SELECT of one row: how many rows the range has, and where a sheet's first cell is that is too long.

    The place is the number of the row within the range, from 1, and that of the column, from 0; NULL if there is none.
    It needs an instance of one thread, which numbers the rows in their order.
    """
    parameters: dict[str, object] = {}
    rows = _rows(plan, range_, sources, parameters)
    texts, found = [], []
    for number, field in enumerate(plan.fields):
        condition = is_too_long(f"cell_{number}", field.type)
        if condition is not None:
            texts.append(f"{cell_content(identifier(field.name), field.type)} AS cell_{number}")
            found.append(f"WHEN {condition} THEN {number}")
    numbered = (
        f"SELECT row_number() OVER () AS place, CASE {' '.join(found)} END AS field "  # noqa: S608  # our own names
        f"FROM (SELECT {', '.join(texts)} FROM {rows})"
    )
    where = "FILTER (WHERE field IS NOT NULL)"
    return Statement(
        f"SELECT count(*), min(place) {where}, arg_min(field, place) {where} FROM ({numbered})",  # noqa: S608  # our own names
        parameters,
        comparison_before(plan, sources),
    )


def _select(
    plan: ExportPlan, range_: Range, sources: list[str], parameters: dict[str, object], page: PageSlice | None = None
) -> str:
    return select_of(plan, _rows(plan, range_, sources, parameters, page))


def _rows(
    plan: ExportPlan, range_: Range, sources: list[str], parameters: dict[str, object], page: PageSlice | None = None
) -> str:
    """The SQL after FROM for the rows of a range, in the order of the file."""
    cells, order = cells_of(plan), ""
    if plan.sort is None:
        source = f"{rows_of(plan, sources, parameters)}{where_clause(plan, range_, parameters)}"
    else:
        # In a subquery of the projection: ORDER BY must compare the cells, not the text that the projection makes.
        rows = _rows_with_position(plan, range_, sources, parameters)
        cells, source, order = names_of(plan), f"({rows})", f" ORDER BY {order_of(plan)}"
    if page is not None:
        order += f" LIMIT {page.limit} OFFSET {page.offset}"
    if order or plan.chooses_columns:
        source = f"(SELECT {cells} FROM {source}{order})"  # noqa: S608  # quoted names, bound values
    return source


def names_of(plan: ExportPlan) -> str:
    """The columns of `cells_of` by name, and `SORT_KEY` if they include it."""
    hidden = [SORT_KEY] if _sort_column(plan) == SORT_KEY else []
    return ", ".join([*(identifier(column.path) for column in plan.columns), *hidden])


def cells_of(plan: ExportPlan) -> str:
    """SQL over the run's parts for each column of the file, named as there.

    If the file has not what it is sorted by, the last one is that, named `SORT_KEY`.
    """
    cells = [_named(column.sql, identifier(column.path)) for column in plan.columns]
    if plan.sort is not None and _sort_column(plan) == SORT_KEY:
        cells.append(f"{plan.sort.sql} AS {SORT_KEY}")
    return ", ".join(cells)


def _named(sql: str, name: str) -> str:
    return name if sql == name else f"{sql} AS {name}"


def _sort_column(plan: ExportPlan) -> str | None:
    """SQL for what the file is sorted by, over `cells_of`."""
    if plan.sort is None or not plan.chooses_columns:
        return None if plan.sort is None else plan.sort.sql
    # Where it is a column of the file, a second one would keep the sign of a zero, which the sort of the column drops.
    names = (identifier(column.path) for column in plan.columns if column.sql == plan.sort.sql)
    return next(names, SORT_KEY)


def order_of(plan: ExportPlan) -> str:
    """The ORDER BY expressions, for rows that have their `POSITION`. Raises ValueError if the plan has no sort."""
    column = _sort_column(plan)
    if column is None:
        raise ValueError("the plan has no sort")
    return f"{column} {direction_of(plan)} NULLS LAST, {POSITION}"


def direction_of(plan: ExportPlan) -> str:
    """ASC or DESC."""
    return "DESC" if plan.request.descending else "ASC"


def _rows_with_position(plan: ExportPlan, range_: Range, sources: list[str], parameters: dict[str, object]) -> str:
    """The unsorted rows of a range with their `POSITION`."""
    if not range_.subranges:
        return _select_with_position(plan, range_, sources, parameters, first_part=0)
    source_by_key = dict(zip((part.key for part in range_.parts), sources, strict=True))
    selects = []
    first_part = 0
    for number, subrange in enumerate(range_.subranges):
        used = [source_by_key[part.key] for part in subrange.parts]
        select = _select_with_position(plan, subrange, used, parameters, first_part=first_part, suffix=str(number))
        selects.append(select)
        first_part += len(subrange.parts)
    return " UNION ALL ".join(selects)


def _select_with_position(
    plan: ExportPlan,
    range_: Range,
    sources: list[str],
    parameters: dict[str, object],
    *,
    first_part: int,
    suffix: str = "",
) -> str:
    position = position_of(f"(CAST(file_index AS BIGINT) + {first_part})")
    source = rows_of(plan, sources, parameters, suffix)
    where = where_clause(plan, range_, parameters, suffix)
    return f"SELECT {cells_of(plan)}, {position} AS {POSITION} FROM {source}{where}"  # noqa: S608  # quoted names, bound values


def _row_range_condition(range_: Range, parameters: dict[str, object], suffix: str) -> list[str]:
    """The condition on row numbers, by which DuckDB skips row groups without reading them; none for entire parts."""
    if range_.first is None:
        return []
    parameters |= {f"first_row{suffix}": range_.first, f"end_row{suffix}": range_.end}
    return [f"file_row_number >= $first_row{suffix} AND file_row_number < $end_row{suffix}"]


def where_clause(plan: ExportPlan, range_: Range, parameters: dict[str, object], suffix: str = "") -> str:
    """The WHERE clause of a range, or an empty string.

    Adds what it binds to ``parameters``; names that differ by range end with ``suffix``.
    """
    row_range = _row_range_condition(range_, parameters, suffix)
    conditions = [*row_range]
    if range_.rows is not None:
        if len(range_.rows) < (range_.end or 0) - (range_.first or 0):
            conditions.append("file_row_number IN (SELECT unnest(CAST($rows AS BIGINT[])))")
            parameters["rows"] = list(range_.rows)
    elif plan.request.row_ids is not None:
        matches_id = f"{ROW_ID} IN (SELECT unnest(CAST($row_ids AS VARCHAR[])))"
        parameters["row_ids"] = list(plan.request.row_ids)
        if row_range and plan.sort is None:
            # DuckDB would decode every column before it compares the ids. Finding the row numbers first reads the
            # other columns only near a match.
            condition = " AND ".join([*row_range, matches_id])
            found = f"SELECT file_row_number FROM {read_parquet('$sources')} WHERE {condition}"  # noqa: S608  # our own SQL
            matches_id = f"file_row_number IN ({found})"
        conditions.append(matches_id)
    predicate = compile_predicate(plan.conditions)
    parameters |= predicate.parameters
    if predicate.sql:
        conditions.append(predicate.sql)
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def rows_of(plan: ExportPlan, sources: list[str], parameters: dict[str, object], suffix: str = "") -> str:
    """The SQL after FROM for the rows of these files, or for those that changed; adds what it binds."""
    if sources and plan.since is not None:
        newer, older = _compared_runs(plan, plan.since, sources)
        parameters |= _sources_of(newer, older)
        with_names = any(condition.column.path == CHANGED for condition in plan.conditions)
        return f"({changed_rows(newer, older, plan.table, with_names=with_names)})"
    if sources:
        parameters[f"sources{suffix}"] = sources
        return read_parquet(f"$sources{suffix}")
    # A run without rows has no parts, but it has columns.
    nulls = ", ".join(f"CAST(NULL AS {field.type.sql()}) AS {identifier(field.name)}" for field in plan.table)
    return f"(SELECT {nulls}, 0 AS file_index, 0 AS file_row_number WHERE FALSE)"


def comparison_before(plan: ExportPlan, sources: list[str]) -> Statement | None:
    """What a statement over `rows_of` these files needs in its session: the comparison of the two runs, if any."""
    if not sources or plan.since is None:
        return None
    newer, older = _compared_runs(plan, plan.since, sources)
    return Statement(create_differing(newer, older, plan.table), _sources_of(newer, older))


def _compared_runs(plan: ExportPlan, since: Run, sources: list[str]) -> tuple[ComparedRun, ComparedRun]:
    number = len(plan.run.parts)
    return ComparedRun(plan.run, sources[:number], "newer"), ComparedRun(since, sources[number:], "older")


def _sources_of(*runs: ComparedRun) -> dict[str, object]:
    return {one.name: one.sources for one in runs if one.sources}


def select_of(plan: ExportPlan, source: str) -> str:
    """A SELECT of the plan's fields as its format writes them; ``source`` is the SQL after FROM."""
    return project(plan.fields, plan.request.format, plan.request.csv, source)


def copy_options(plan: ExportPlan, *, first: bool) -> str:
    """The options of COPY for a range; only the ``first`` range of a CSV file has a header."""
    request = plan.request
    if request.format.name != "csv":
        return request.format.copy_options
    header = "true" if first else "false"
    delimiter = literal(DELIMITERS[request.csv.delimiter])
    return f"{request.format.copy_options}, HEADER {header}, DELIMITER {delimiter}"
