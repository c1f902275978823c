"""CSV and JSON files of a publisher: cells that are text or JSON values, read in the types of the fields."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from engine.catalog.duckdb_types import type_of_structure
from engine.catalog.field_names import check_names
from engine.catalog.schema import Field
from engine.catalog.types import JSON, TEXT, TIMESTAMP, ColumnType, Family
from engine.common.quoting import identifier
from engine.common.table_functions import read_csv, read_json, read_json_objects
from engine.errors import InvalidInput
from engine.publishing.lossless_casts import keeps_json, keeps_text
from engine.publishing.selecting import checked, missing, stored
from engine.request.text_casts import with_seconds


@dataclass(frozen=True, slots=True)
class CsvFiles:
    """Files of text cells: an empty cell is null, a quoted empty cell the empty string."""

    paths: tuple[str, ...]
    found: dict[str, ColumnType | None]

    @classmethod
    def look(cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> "CsvFiles":
        """Read the headers. Raises InvalidInput or duckdb.Error."""
        for path in paths:
            # As written: DuckDB renames what is empty or repeated.
            sql = f"SELECT * FROM {_csv_reader(header=False)} LIMIT 1"  # noqa: S608  # a constant text
            header = connection.execute(sql, {"paths": [str(path.absolute())]}).fetchone()
            if header is None:
                raise InvalidInput(f"The file {path.name} is empty: a CSV file begins with its header.")
            check_names(header)
        files = tuple(str(path.absolute()) for path in paths)
        cursor = connection.execute(f"SELECT * FROM {_csv_reader()} LIMIT 0", {"paths": list(files)})  # noqa: S608
        return cls(files, {str(column[0]): TEXT for column in cursor.description or []})

    @property
    def parameters(self) -> dict[str, object]:
        """What `select` binds."""
        return {"paths": list(self.paths)}

    def select(self, fields: Sequence[Field]) -> str:
        """The fields in their stored types, row by row in the order of the files."""
        columns = ", ".join(
            f"{_csv_value(field) if field.name in self.found else missing(field)} AS {identifier(field.name)}"
            for field in fields
        )
        return f"SELECT {columns} FROM {_csv_reader()}"  # noqa: S608  # quoted names


@dataclass(frozen=True, slots=True)
class JsonFiles:
    """Files of JSON objects, in one array or one a line."""

    paths: tuple[str, ...]
    layout: str
    found: dict[str, ColumnType | None]

    @classmethod
    def look(cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], layout: str) -> "JsonFiles":
        """Read all values for their structure; ``layout`` is DuckDB's. Raises InvalidInput or duckdb.Error."""
        files = tuple(str(path.absolute()) for path in paths)
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
        check_names(structure)
        return cls(files, layout, {name: type_of_structure(inner) for name, inner in structure.items()})

    @property
    def parameters(self) -> dict[str, object]:
        """What `select` binds."""
        return {"paths": list(self.paths)}

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


def _csv_value(field: Field) -> str:
    cell, type_ = identifier(field.name), field.type
    if type_ == TEXT:
        return cell
    if type_.children or type_.family is Family.JSON:
        cell = f"CAST({cell} AS JSON)"
        return checked(field, keeps_json(cell, type_), stored(cell, type_))
    cell = f"nullif({cell}, '')"
    return checked(field, keeps_text(cell, type_), _from_text(cell, type_))


def _json_value(field: Field) -> str:
    cell = identifier(field.name)
    return checked(field, keeps_json(cell, field.type), _from_json(cell, field.type))


def _csv_reader(*, header: bool = True) -> str:
    # No guessing: cells are text, an empty cell is null, a quoted empty cell is the empty string. Without skip=0,
    # lines are left out until a file looks regular.
    options = (
        f"header={str(header).lower()}, delim=',', quote='\"', escape='\"', all_varchar=true, "
        "skip=0, sample_size=1, strict_mode=true, allow_quoted_nulls=false, union_by_name=true"
    )
    return read_csv("$paths", options)


def _from_json(cell: str, type_: ColumnType) -> str:
    if type_ == JSON:
        return cell
    if type_ == TEXT:
        return f"{cell} ->> '$'"
    return f"CAST({cell} AS {type_.sql()})" if type_.children else _from_text(f"({cell} ->> '$')", type_)


def _from_text(cell: str, type_: ColumnType) -> str:
    return f"CAST({with_seconds(cell) if type_ == TIMESTAMP else cell} AS {type_.sql()})"
