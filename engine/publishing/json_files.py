"""JSON files of a publisher: objects in one array or one a line, read in the types of the fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from engine.catalog.duckdb_types import type_of_structure
from engine.catalog.field_names import check_names
from engine.catalog.schema import Field
from engine.catalog.types import JSON, MAX_DEPTH, TEXT, ColumnType
from engine.common.json_depth import check_nesting, loads_within
from engine.common.quoting import identifier
from engine.common.table_functions import read_json, read_json_objects
from engine.errors import InvalidInput
from engine.publishing.lossless_casts import keeps_json
from engine.publishing.options import ReadOptions
from engine.publishing.selecting import checked, from_text, missing

_MAX_ROW_DEPTH = 1000
_MANY_BRACKETS = f"length(json) - length(translate(CAST(json AS VARCHAR), '[{{', '')) > {_MAX_ROW_DEPTH}"
"""Rows that could be nested too deeply: DuckDB's ``json_group_structure`` crashes at 20,000 objects within objects."""


@dataclass(frozen=True, slots=True)
class JsonFiles:
    """Files of JSON objects, in one array or one a line."""

    paths: tuple[str, ...]
    layout: str
    found: dict[str, ColumnType | None]

    @classmethod
    def look(
        cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], _options: ReadOptions, layout: str
    ) -> "JsonFiles":
        """Read all values for their structure; ``layout`` is DuckDB's. Raises InvalidInput or duckdb.Error."""
        files = tuple(str(path.absolute()) for path in paths)
        source, bound = read_json_objects("$paths", "format=$layout"), {"paths": list(files), "layout": layout}
        query = (
            f"SELECT json_group_structure(CASE WHEN $all OR NOT {_MANY_BRACKETS} THEN json END), "  # noqa: S608  # ours
            f"count(*) FILTER ({_MANY_BRACKETS}), count(*) FILTER (json_type(json) IS DISTINCT FROM 'OBJECT') "
            f"FROM {source}"
        )
        text, bracketed, strangers = connection.execute(query, {**bound, "all": False}).fetchone() or (None, 0, 0)
        if strangers:
            raise InvalidInput("Every row of a JSON file is an object.")
        if bracketed:
            rows = connection.execute(f"SELECT json FROM {source} WHERE {_MANY_BRACKETS}", bound)  # noqa: S608  # ours
            while row := rows.fetchone():
                _check_row(row[0])
            text, _, _ = connection.execute(query, {**bound, "all": True}).fetchone() or (None, 0, 0)
        try:
            structure = loads_within(text or "{}", MAX_DEPTH + 1)
        except ValueError as error:
            raise InvalidInput(
                f"A field is nested more than {MAX_DEPTH} levels deep: flatten it, or store it as text."
            ) from error
        if not isinstance(structure, dict):
            # No row has any member.
            return cls(files, layout, {})
        check_names(structure)
        return cls(files, layout, {name: type_of_structure(inner) for name, inner in structure.items()})

    @property
    def parameters(self) -> dict[str, object]:
        """What `select` binds."""
        return {"paths": list(self.paths)}

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing is decided without being asked for."""
        return ()

    def select(self, fields: Sequence[Field]) -> str:
        """The fields in their stored types, row by row in the order of the files."""
        columns = ", ".join(
            f"{_json_value(field) if field.name in self.found else missing(field)} AS {identifier(field.name)}"
            for field in fields
        )
        # Values of declared types are read as JSON first: DuckDB's reader would guess at dates.
        kinds = ", ".join(f"{identifier(field.name)}: 'JSON'" for field in fields if field.name in self.found)
        # Rows that have none of the fields are rows all the same.
        layout = f"format='{self.layout}'"
        columns_of = f"{layout}, columns={{{kinds}}}"
        reader = read_json("$paths", columns_of) if kinds else read_json_objects("$paths", layout)
        return f"SELECT {columns} FROM {reader}"  # noqa: S608  # quoted names


def _check_row(text: str) -> None:
    try:
        check_nesting(text, _MAX_ROW_DEPTH)
    except ValueError as error:
        raise InvalidInput(f"A row is nested more than {_MAX_ROW_DEPTH:,} levels deep.") from error


def _json_value(field: Field) -> str:
    cell = identifier(field.name)
    return checked(field, keeps_json(cell, field.type), _from_json(cell, field.type))


def _from_json(cell: str, type_: ColumnType) -> str:
    if type_ == JSON:
        return cell
    if type_ == TEXT:
        return f"{cell} ->> '$'"
    return f"CAST({cell} AS {type_.sql()})" if type_.children else from_text(f"({cell} ->> '$')", type_)
