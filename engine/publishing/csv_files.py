"""CSV files of a publisher: cells of text, read in the types of the fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from engine.catalog.field_names import check_names
from engine.catalog.schema import Field
from engine.catalog.types import TEXT, ColumnType, Family
from engine.common.quoting import identifier
from engine.common.table_functions import exact_path, read_csv
from engine.errors import InvalidInput
from engine.publishing.lossless_casts import keeps_json, keeps_text
from engine.publishing.options import ReadOptions
from engine.publishing.selecting import checked, from_text, missing, stored


@dataclass(frozen=True, slots=True)
class CsvFiles:
    """Files of text cells: an empty cell is null, a quoted empty cell the empty string."""

    paths: tuple[str, ...]
    found: dict[str, ColumnType | None]

    @classmethod
    def look(cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], _options: ReadOptions) -> "CsvFiles":
        """Read the headers. Raises InvalidInput or duckdb.Error."""
        for path in paths:
            # As written: DuckDB renames what is empty or repeated.
            sql = f"SELECT * FROM {_csv_reader(header=False)} LIMIT 1"  # noqa: S608  # a constant text
            header = connection.execute(sql, {"paths": [exact_path(path)]}).fetchone()
            if header is None:
                raise InvalidInput(f"The file {path.name} is empty: a CSV file begins with its header.")
            check_names(header)
        files = tuple(exact_path(path) for path in paths)
        cursor = connection.execute(f"SELECT * FROM {_csv_reader()} LIMIT 0", {"paths": list(files)})  # noqa: S608
        return cls(files, {str(column[0]): TEXT for column in cursor.description or []})

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
            f"{_csv_value(field) if field.name in self.found else missing(field)} AS {identifier(field.name)}"
            for field in fields
        )
        return f"SELECT {columns} FROM {_csv_reader()}"  # noqa: S608  # quoted names


def _csv_value(field: Field) -> str:
    cell, type_ = identifier(field.name), field.type
    if type_ == TEXT:
        return cell
    if type_.children or type_.family is Family.JSON:
        cell = f"CAST({cell} AS JSON)"
        return checked(field, keeps_json(cell, type_), stored(cell, type_))
    cell = f"nullif({cell}, '')"
    return checked(field, keeps_text(cell, type_), from_text(cell, type_))


def _csv_reader(*, header: bool = True) -> str:
    # No guessing: cells are text, an empty cell is null, a quoted empty cell is the empty string. Without skip=0,
    # lines are left out until a file looks regular.
    options = (
        f"header={str(header).lower()}, delim=',', quote='\"', escape='\"', all_varchar=true, "
        "skip=0, sample_size=1, strict_mode=true, allow_quoted_nulls=false, union_by_name=true"
    )
    return read_csv("$paths", options)
