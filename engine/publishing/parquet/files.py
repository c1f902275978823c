"""Parquet files of a publisher: typed columns, which may differ from file to file.

Files of one layout are read together; where the next file has another, a new SELECT begins, and every cast from its
own types to the stored ones is checked. DuckDB's own union by name would cast first and not ask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow as pa

from engine.catalog.duckdb_types import type_of_duckdb
from engine.catalog.schema import Field
from engine.catalog.types import TEXT, ColumnType
from engine.common.quoting import identifier
from engine.common.table_functions import exact_path, literal_path, read_parquet
from engine.publishing.options import ReadOptions
from engine.publishing.parquet.checks import average_row_of, check_parquet, check_readable
from engine.publishing.parquet.notes import geo_metadata_of, notes_of
from engine.publishing.renaming import check_all_found, names_in_run
from engine.publishing.types.lossless_casts import keeps_column
from engine.publishing.types.selecting import WOULD_CHANGE, checked, missing, stored
from engine.publishing.types.unify_types import reconcile_all


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as one file has it: the type that DuckDB reads, and the one that would store it; None if all is null.

    ``name`` is DuckDB's, which tells apart names that are alike.
    """

    name: str
    read_as: str
    type: ColumnType | None


_Layout = dict[str, _Column]


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Runs of files with one layout each, in the order of the publication."""

    groups: tuple[tuple[_Layout, tuple[str, ...]], ...]
    notes: tuple[str, ...] = ()
    """New names, types that Parquet does not have, and metadata of geometries, which are columns of bytes here."""
    average_row: float = 0.0
    """Bytes of a row, roughly: of the file with the longest rows."""

    @classmethod
    def look(cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], options: ReadOptions) -> "ParquetFiles":
        """Read the schemas. Raises InvalidInput for what cannot be exported exactly, or duckdb.Error."""
        # Geometries stay the bytes (WKB) that they are in the file.
        connection.execute("SET enable_geoparquet_conversion=false")
        # Of all of them first: a path that cannot be read is refused before it is opened.
        exact_paths = list(map(exact_path, paths))
        schemas = [check_parquet(path) for path in paths]
        check_all_found((name for schema in schemas for name in schema.names), options.rename)
        layouts, notes = [], []
        for path, exact, schema in zip(paths, exact_paths, schemas, strict=True):
            names, said = names_in_run(path.name, schema.names, options)
            layouts.append((_layout(connection, exact, schema, names), exact))
            notes += [*said, *notes_of(schema)]
        groups = groupby(layouts, key=lambda item: item[0])
        geo_metadata = dict.fromkeys(text for path in paths if (text := geo_metadata_of(path)) is not None)
        return cls(
            tuple((layout, tuple(path for _, path in items)) for layout, items in groups),
            (
                *dict.fromkeys(notes),
                *(f"Geometries are WKB in BLOB columns. GeoParquet metadata: {text}" for text in geo_metadata),
            ),
            max(map(average_row_of, paths), default=0.0),
        )

    @property
    def found(self) -> dict[str, ColumnType | None]:
        """The columns of all files in order; None where the files have no type in common."""
        types: dict[str, list[ColumnType]] = {}
        for layout, _ in self.groups:
            for name, column in layout.items():
                types.setdefault(name, []).extend([] if column.type is None else [column.type])
        return {name: reconcile_all(known) if known else TEXT for name, known in types.items()}

    @property
    def parameters(self) -> dict[str, object]:
        """What `select` binds."""
        return {f"paths{index}": list(paths) for index, (_, paths) in enumerate(self.groups)}

    def revised(self, error: duckdb.Error) -> None:
        """Nothing else helps. Raises InvalidInput, which names file, column and row, if a file cannot be read."""
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.InterruptException) or WOULD_CHANGE in str(error):
            return
        for _, paths in self.groups:
            for path in paths:
                check_readable(Path(literal_path(path)))

    def select(self, fields: Sequence[Field]) -> str:
        """The fields in their stored types, row by row in the order of the files."""
        return " UNION ALL ".join(
            f"SELECT {_columns(layout, fields)} FROM {read_parquet(f'$paths{index}')}"  # noqa: S608  # quoted names
            for index, (layout, _) in enumerate(self.groups)
        )


def _layout(connection: duckdb.DuckDBPyConnection, path: str, schema: pa.Schema, names: Sequence[str]) -> _Layout:
    """The columns by their names in the run."""
    sql = f"SELECT * FROM {read_parquet('$path')} LIMIT 0"  # noqa: S608  # our own SQL
    relation = connection.sql(sql, params={"path": path})
    return {
        # DuckDB takes columns of Arrow's type null for integers.
        name: _Column(read_name, str(type_), None if pa.types.is_null(field.type) else type_of_duckdb(name, type_))
        for name, field, read_name, type_ in zip(names, schema, relation.columns, relation.types, strict=True)
    }


def _columns(layout: _Layout, fields: Sequence[Field]) -> str:
    return ", ".join(f"{_value(field, layout.get(field.name))} AS {identifier(field.name)}" for field in fields)


def _value(field: Field, column: _Column | None) -> str:
    if column is None or column.type is None:
        return missing(field)
    cell = identifier(column.name)
    keeps = None if column.read_as == field.type.sql() else keeps_column(cell, column.read_as, field.type)
    return checked(field, keeps, stored(cell, field.type))
