"""JSON files of a publisher: objects in one array or one a line, read in the types of the fields."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from engine.catalog.duckdb_types import type_of_structure
from engine.catalog.field_names import check_names
from engine.catalog.schema import Field
from engine.catalog.types import JSON, TEXT, ColumnType
from engine.common.quoting import identifier
from engine.common.table_functions import exact_path, read_json, read_json_objects
from engine.errors import InvalidInput
from engine.publishing.lossless_casts import keeps_json
from engine.publishing.options import ReadOptions
from engine.publishing.renaming import renamed
from engine.publishing.selecting import checked, from_text, missing


@dataclass(frozen=True, slots=True)
class JsonFiles:
    """Files of JSON objects, in one array or one a line."""

    paths: tuple[str, ...]
    layout: str
    found: dict[str, ColumnType | None]

    @classmethod
    def look(
        cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], options: ReadOptions, layout: str
    ) -> "JsonFiles":
        """Read all values for their structure; ``layout`` is DuckDB's. Raises InvalidInput or duckdb.Error."""
        files = tuple(exact_path(path) for path in paths)
        row = connection.execute(
            "SELECT json_group_structure(json), count(*) FILTER (json_type(json) IS DISTINCT FROM 'OBJECT') "  # noqa: S608  # ours
            f"FROM {read_json_objects('$paths', 'format=$layout')}",
            {"paths": list(files), "layout": layout},
        ).fetchone()
        text, strangers = row or (None, 0)
        if strangers:
            raise InvalidInput("Every row of a JSON file is an object.")
        structure = json.loads(text or "{}")
        if not isinstance(structure, dict):
            # No row has any member.
            return cls(files, layout, {})
        check_names(renamed(structure, options.rename))
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


def _json_value(field: Field) -> str:
    cell = identifier(field.name)
    return checked(field, keeps_json(cell, field.type), _from_json(cell, field.type))


def _from_json(cell: str, type_: ColumnType) -> str:
    if type_ == JSON:
        return cell
    if type_ == TEXT:
        return f"{cell} ->> '$'"
    return f"CAST({cell} AS {type_.sql()})" if type_.children else from_text(f"({cell} ->> '$')", type_)
