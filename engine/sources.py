"""The files that a publisher brings, as one SQL relation per publication."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from engine.columns import JSON, TEXT, TIMESTAMP, ColumnType, Family
from engine.declared import Declared
from engine.errors import InvalidInput
from engine.faithful import keeps_column, keeps_json, keeps_text
from engine.footer import read_column_names
from engine.inference import type_of_duckdb, type_of_structure
from engine.quoting import identifier, literal
from engine.schema import Field, data_type_of
from engine.texts import with_seconds


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file: its extensions, and whether its cells are typed, JSON values or plain text."""

    name: str
    extensions: tuple[str, ...]


CSV = Kind("CSV", (".csv",))
JSON_ARRAY = Kind("JSON", (".json",))
NDJSON = Kind("NDJSON", (".ndjson", ".jsonl"))
PARQUET = Kind("Parquet", (".parquet",))
KINDS = (CSV, JSON_ARRAY, NDJSON, PARQUET)

_RESERVED = {"file_row_number", "file_index"}
"""Names by which DuckDB tells rows of Parquet files apart."""


@dataclass(frozen=True, slots=True)
class Source:
    """Files of one kind, and the fields that they are read as."""

    kind: Kind
    paths: tuple[str, ...]
    fields: tuple[Field, ...]
    present: frozenset[str]
    """Columns that the files have; the others are null."""

    def relation(self) -> tuple[str, dict[str, object]]:
        """A FROM clause whose columns bear the fields' names, and what it binds."""
        names = [field.name for field in self.fields if field.name in self.present]
        parameters: dict[str, object] = {"paths": list(self.paths)}
        match self.kind:
            case Kind(name="CSV"):
                return _csv_reader(), parameters
            case Kind(name="Parquet"):
                return "read_parquet($paths, union_by_name=true)", parameters
            case _ if not names:
                # Rows that have none of the fields are rows all the same.
                return f"read_json_objects($paths, format='{_layout(self.kind)}')", parameters
            case _:
                # Values of declared types are read as text first: DuckDB's reader would guess at dates.
                columns = ", ".join(f"{identifier(name)}: 'JSON'" for name in names)
                return f"read_json($paths, format='{_layout(self.kind)}', columns={{{columns}}})", parameters

    def expression(self, field: Field) -> str:
        """The field's value in its stored type; a value that cannot be read so is an error when the run is written."""
        target = field.type.sql()
        if field.name not in self.present:
            return f"CAST(NULL AS {target})"
        cell = identifier(field.name)
        if self.kind is PARQUET:
            return _checked(field, keeps_column(cell, field.type), f"CAST({cell} AS {target})")
        if self.kind is not CSV:
            return _checked(field, keeps_json(cell, field.type), _from_json(cell, field.type))
        if field.type == TEXT:
            return cell
        if field.type.family in (Family.LIST, Family.OBJECT, Family.JSON):
            cell = f"CAST({cell} AS JSON)"
            return _checked(field, keeps_json(cell, field.type), f"CAST({cell} AS {target})")
        cell = f"nullif({cell}, '')"
        return _checked(field, keeps_text(cell, field.type), _from_text(cell, field.type))


def _checked(field: Field, keeps: str | None, value: str) -> str:
    """The value, or an error where a cast would change it."""
    if keeps is None:
        return value
    reason = literal(f"{field.name} is {field.data_type}, and a value of it would be changed or cannot be read")
    return f"CASE WHEN coalesce({keeps}, TRUE) THEN {value} ELSE error({reason}) END"


def open_source(
    connection: duckdb.DuckDBPyConnection, files: tuple[Path, ...], declared: tuple[Declared, ...] | None
) -> Source:
    """Look at a publisher's files and decide how they are read. Raises InvalidInput with the reason and the remedy."""
    kind = _kind_of(files)
    paths = tuple(str(path.absolute()) for path in files)
    try:
        found = _look(connection, kind, paths)
    except duckdb.Error as error:
        raise InvalidInput(f"The {kind.name} files cannot be read: {_first_line(error)}.") from error
    if declared is None:
        fields = tuple(Field(name=name, data_type=data_type_of(type_), type=type_) for name, type_ in found.items())
        return Source(kind, paths, fields, frozenset(found))
    names = {field.name for field in declared}
    surprise = sorted(found.keys() - names)
    if surprise:
        raise InvalidInput(
            f"The files have the column {surprise[0]!r}, which the schema does not declare: add it there."
        )
    _check_names(field.name for field in declared)
    fields = tuple(
        Field(
            name=field.name,
            data_type=field.data_type,
            type=found[field.name] if field.open and _is_nested(found.get(field.name)) else field.stored_type(),
        )
        for field in declared
    )
    return Source(kind, paths, fields, frozenset(found))


def _kind_of(files: tuple[Path, ...]) -> Kind:
    known = ", ".join(extension for kind in KINDS for extension in kind.extensions)
    kinds = set()
    for path in files:
        if not path.is_file():
            raise InvalidInput(f"There is no file {path}.")
        kind = next((kind for kind in KINDS if path.suffix.lower() in kind.extensions), None)
        if kind is None:
            raise InvalidInput(f"The file {path.name} is of no known kind: its name should end in one of {known}.")
        kinds.add(kind)
    if len(kinds) != 1:
        raise InvalidInput("Bring files of one kind: CSV, JSON, NDJSON or Parquet.")
    return kinds.pop()


def _look(connection: duckdb.DuckDBPyConnection, kind: Kind, paths: tuple[str, ...]) -> dict[str, ColumnType]:
    """The columns that the files have, in order, with the types that their values have."""
    parameters = {"paths": list(paths)}
    match kind:
        case Kind(name="CSV"):
            for path in paths:
                # As written: DuckDB renames what is empty or repeated.
                sql = f"SELECT * FROM {_csv_reader(header=False)} LIMIT 1"  # noqa: S608  # a constant text
                header = connection.execute(sql, {"paths": [path]}).fetchone()
                if header is None:
                    raise InvalidInput(f"The file {Path(path).name} is empty: a CSV file begins with its header.")
                _check_names(header)
            cursor = connection.execute(f"SELECT * FROM {_csv_reader()} LIMIT 0", parameters)  # noqa: S608
            return {str(column[0]): TEXT for column in cursor.description or []}
        case Kind(name="Parquet"):
            sql = "SELECT * FROM read_parquet($paths, union_by_name=true) LIMIT 0"
            relation = connection.sql(sql, params=parameters)
            for path in paths:
                _check_names(read_column_names(Path(path)))
            return {
                name: type_of_duckdb(name, type_) for name, type_ in zip(relation.columns, relation.types, strict=True)
            }
        case _:
            reader = "read_json_objects($paths, format=$layout)"
            others = "count(*) FILTER (json_type(json) IS DISTINCT FROM 'OBJECT')"
            row = connection.execute(
                f"SELECT json_group_structure(json), {others} FROM {reader}",  # noqa: S608
                {**parameters, "layout": _layout(kind)},
            ).fetchone()
            text, strangers = row or (None, 0)
            if strangers:
                raise InvalidInput("Every row of a JSON file is an object.")
            structure = json.loads(text or "{}")
            if not isinstance(structure, dict):
                # No row has any member.
                return {}
            _check_names(structure)
            return {name: type_of_structure(inner) for name, inner in structure.items()}


def _csv_reader(*, header: bool = True) -> str:
    # No guessing: cells are text, an empty cell is null, a quoted empty cell is the empty string. Without skip=0,
    # lines are left out until a file looks regular.
    return (
        f"read_csv($paths, header={str(header).lower()}, delim=',', quote='\"', escape='\"', all_varchar=true, "
        "skip=0, sample_size=1, strict_mode=true, allow_quoted_nulls=false, union_by_name=true)"
    )


def _layout(kind: Kind) -> str:
    return "array" if kind is JSON_ARRAY else "newline_delimited"


def _from_json(cell: str, type_: ColumnType) -> str:
    if type_ == JSON:
        return cell
    if type_ == TEXT:
        return f"{cell} ->> '$'"
    return f"CAST({cell} AS {type_.sql()})" if type_.children else _from_text(f"({cell} ->> '$')", type_)


def _from_text(cell: str, type_: ColumnType) -> str:
    return f"CAST({with_seconds(cell) if type_ == TIMESTAMP else cell} AS {type_.sql()})"


def _is_nested(type_: ColumnType | None) -> bool:
    return type_ is not None and type_.family in (Family.LIST, Family.OBJECT, Family.MAP)


def _check_names(names: Iterable[str | None]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if not name or "\x00" in name:
            raise InvalidInput("A column has an empty name, or one with a NUL in it: name it.")
        if name in _RESERVED or name.startswith("_"):
            raise InvalidInput(f"The column name {name!r} is reserved: rename it.")
        if name.lower() in seen:
            raise InvalidInput(
                f"The columns {seen[name.lower()]!r} and {name!r} have one name but for case: rename one."
            )
        seen[name.lower()] = name


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300].rstrip(".")
