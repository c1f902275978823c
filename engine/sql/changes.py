"""SQL for what changed between two runs: first the ids of the rows that differ, by their hashes, then those rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.catalog.manifest import ROW_HASH, Run
from engine.catalog.schema import CHANGE, CHANGED, ROW_ID, Field, Schema
from engine.catalog.types import ColumnType, Family
from engine.common.quoting import identifier, literal
from engine.common.table_functions import read_parquet
from engine.plan.changes import key
from engine.sql.json_values import json_text, text_of
from engine.sql.row_hash import comparable_cell, comparable_columns, select_with_hash

_DIFFERING, _NAMED = "_differing", "_named"


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One of two runs that are compared: its parts as DuckDB opens them, and the name of the parameter with them."""

    run: Run
    sources: Sequence[str]
    name: str

    def rows(self, columns: str) -> str:
        """SQL for these columns of its rows. A run without rows has no parts, but it has columns."""
        if self.sources:
            return f"SELECT {columns} FROM {read_parquet(f'${self.name}')}"  # noqa: S608  # quoted names
        nulls = ", ".join(f"CAST(NULL AS {field.type.sql()}) AS {identifier(field.name)}" for field in self.run.table)
        return f"SELECT {columns} FROM (SELECT {nulls}, 0 AS file_index, 0 AS file_row_number WHERE FALSE)"  # noqa: S608  # quoted names

    def cells(self, table: Schema) -> str:
        """SQL for each column of both runs, in the types of ``table``."""
        own = {key(field): field for field in self.run.table.delivered}
        return ", ".join(_cell(field, own.get(key(field))) for field in table.delivered)

    def hashes(self, table: Schema) -> str:
        """SQL for the row ids and `ROW_HASH` of its rows, as rows of ``table``."""
        if self.run.row_hashes and self.sources and comparable_columns(self.run.table) == comparable_columns(table):
            return self.rows(", ".join([ROW_ID, *ROW_HASH]))
        rows = f"({self.rows(f'{ROW_ID}, {self.cells(table)}')})"
        return select_with_hash(ROW_ID, table.delivered, rows)


def create_differing(newer: ComparedRun, older: ComparedRun, table: Schema) -> str:
    """SQL that creates the table of the ids of the rows that differ, with their `CHANGE`, in a session without it.

    As a statement of its own: within another one, the ids and hashes of all rows would be in memory until its end.
    """
    high, low = ROW_HASH
    kind = f"CASE WHEN o.{low} IS NULL THEN 'added' WHEN n.{low} IS NULL THEN 'removed' ELSE 'changed' END"
    # A byte for each row, in this table and in the hash table of the join with it, where text takes 16 in both.
    kind = f"CAST({kind} AS ENUM ('added', 'changed', 'removed'))"
    return (
        f"CREATE TEMP TABLE IF NOT EXISTS {_DIFFERING} AS SELECT {ROW_ID}, {kind} AS {CHANGE} "  # noqa: S608  # quoted names
        f"FROM ({newer.hashes(table)}) AS n FULL JOIN ({older.hashes(table)}) AS o USING ({ROW_ID}) "
        f"WHERE n.{low} IS DISTINCT FROM o.{low} OR n.{high} IS DISTINCT FROM o.{high}"
    )


def changed_rows(newer: ComparedRun, older: ComparedRun, table: Schema, *, with_names: bool) -> str:
    """SQL for the rows that differ, as rows of ``table``: those of the newer run in its order, then the removed ones.

    The session has the table of `create_differing`.
    ``file_index`` and ``file_row_number`` are their position in that order. Only ``with_names`` do they have `CHANGED`,
    for which all cells of the changed rows are compared.
    """

    def rows(one: ComparedRun, first_part: int, condition: str) -> str:
        found = one.rows(
            f"{ROW_ID}, {one.cells(table)}, CAST(file_index AS BIGINT) + {first_part} AS file_index, {number}"
        )
        # The order of the rows is preserved only while they are on the probe side (`engine.execute.session.FENCE`).
        return f"SELECT {names} FROM ({found}) JOIN (FROM {differing} WHERE {CHANGE} {condition}) USING ({ROW_ID})"  # noqa: S608  # quoted names

    number = "CAST(file_row_number AS BIGINT) AS file_row_number"
    as_text = {CHANGE: f"CAST({CHANGE} AS VARCHAR) AS {CHANGE}"}
    fields = [as_text.get(field.name, identifier(field.name)) for field in table if with_names or field.name != CHANGED]
    names = ", ".join([*fields, "file_index", "file_row_number"])
    differing, named = _DIFFERING, ""
    if with_names:
        differs, cells = _changed_cells(newer, older, table)
        listed = ", ".join(
            f"CASE WHEN {one} THEN {literal(field.name)} END"
            for field, one in zip(table.delivered, differs, strict=True)
        )
        differing = _NAMED
        # Not joined to the rows themselves: a left join puts those without a match behind the others.
        named = (
            f"WITH {_NAMED} AS MATERIALIZED (FROM {_DIFFERING} "  # noqa: S608  # quoted names
            f"LEFT JOIN (SELECT {ROW_ID}, [{listed}] AS {CHANGED} FROM {cells}) USING ({ROW_ID})) "
        )
    return (
        f"{named}{rows(newer, 0, '<> ' + literal('removed'))} UNION ALL "
        f"{rows(older, len(newer.sources), '= ' + literal('removed'))}"
    )


def count_changes(newer: ComparedRun, older: ComparedRun, table: Schema) -> str:
    """SQL for one row: the numbers of added, changed and removed rows, then by column those that changed in it.

    The columns are those that ``table`` delivers, in its order. The session has the table of `create_differing`.
    """
    rows = ", ".join(f"count(*) FILTER ({CHANGE} = {literal(name)})" for name in ("added", "changed", "removed"))
    differs, cells = _changed_cells(newer, older, table)
    columns = ", ".join(f"count(*) FILTER ({one})" for one in differs)
    return f"SELECT * FROM (SELECT {rows} FROM {_DIFFERING}), (SELECT {columns} FROM {cells})"  # noqa: S608  # quoted names


def _changed_cells(newer: ComparedRun, older: ComparedRun, table: Schema) -> tuple[list[str], str]:
    """SQL for whether each column that ``table`` delivers differs, and what to put after FROM: the changed rows."""
    cells, differs = [ROW_ID], []
    for number, field in enumerate(table.delivered):
        cells.append(f"{comparable_cell(identifier(field.name), field.type)} AS cell_{number}")
        differs.append(f"n.cell_{number} IS DISTINCT FROM o.cell_{number}")
    new, old = (
        f"SELECT {', '.join(cells)} FROM ({one.rows(f'{ROW_ID}, {one.cells(table)}')})"  # noqa: S608  # quoted names
        for one in (newer, older)
    )
    changed = f"SELECT {ROW_ID} FROM {_DIFFERING} WHERE {CHANGE} = 'changed'"  # noqa: S608  # our own SQL
    older_rows = f"(SELECT * FROM ({old}) SEMI JOIN ({changed}) USING ({ROW_ID}))"  # noqa: S608  # our own SQL
    return differs, f"({new}) AS n JOIN {older_rows} AS o USING ({ROW_ID})"


def first_differences(newer: ComparedRun, older: ComparedRun, table: Schema) -> str:
    """SQL for the first ``$limit`` rows that differ, in the order of `changed_rows`, and at most ``$size`` characters.

    A row has the id, its `CHANGE`, and a list of the cells that are not the same in both runs: the name of the column,
    and the text of the cell in the newer run and in the older. The session has the table of `create_differing`.
    """

    def place(one: ComparedRun, number: int, condition: str) -> str:
        found = one.rows(f"{ROW_ID}, file_index, file_row_number")
        return (
            f"SELECT {ROW_ID}, {CHANGE}, {number} AS run, file_index, file_row_number FROM ({found}) "  # noqa: S608  # our own SQL
            f"JOIN (FROM {_DIFFERING} WHERE {CHANGE} {condition}) USING ({ROW_ID})"
        )

    columns, fields = [ROW_ID], []
    for number, field in enumerate(table.delivered):
        cell, key_, value = identifier(field.name), f"cell_{number}", f"text_{number}"
        columns += [f"{comparable_cell(cell, field.type)} AS {key_}", f"{text_of(cell, field.type)} AS {value}"]
        fields.append(
            f"CASE WHEN n.{key_} IS DISTINCT FROM o.{key_} "
            f"THEN {{'key': {literal(field.name)}, 'value': n.{value}, 'previous': o.{value}}} END"
        )
    new, old = (
        f"SELECT {', '.join(columns)} "  # noqa: S608  # quoted names
        f"FROM ({one.rows(f'{ROW_ID}, {one.cells(table)}')}) SEMI JOIN found USING ({ROW_ID})"
        for one in (newer, older)
    )
    order = "ORDER BY run, file_index, file_row_number"
    found = f"{place(newer, 0, '<> ' + literal('removed'))} UNION ALL {place(older, 1, '= ' + literal('removed'))}"
    cells = f"list_filter([{', '.join(fields)}], lambda one: one IS NOT NULL)"
    return (
        f"WITH found AS MATERIALIZED (SELECT * FROM ({found}) {order} LIMIT $limit), "  # noqa: S608  # quoted names
        f"compared AS (SELECT f.*, {cells} AS cells FROM found AS f "
        f"LEFT JOIN ({new}) AS n USING ({ROW_ID}) LEFT JOIN ({old}) AS o USING ({ROW_ID})) "
        f"SELECT {ROW_ID}, {CHANGE}, cells FROM compared "
        f"QUALIFY sum(strlen(CAST(cells AS VARCHAR))) OVER ({order} ROWS UNBOUNDED PRECEDING) <= $size {order}"
    )


def _cell(field: Field, own: Field | None) -> str:
    name = identifier(field.name)
    if own is None:
        return f"CAST(NULL AS {field.type.sql()}) AS {name}"
    return f"{_cast(identifier(own.name), own.type, field.type)} AS {name}"


def _cast(cell: str, own: ColumnType, common: ColumnType) -> str:
    if own == common:
        return cell
    match common.family:
        case Family.JSON:
            return f"CASE WHEN {cell} IS NOT NULL THEN CAST({json_text(cell, own)} AS JSON) END"
        case Family.TEXT:
            return text_of(cell, own)
    return f"CAST({cell} AS {common.sql()})"
