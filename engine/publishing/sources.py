"""The files that a publisher brings, as one SELECT per publication."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import duckdb

from engine.catalog.field_names import MAX_COLUMNS, check_names
from engine.catalog.schema import Field, Schema, data_type_of
from engine.catalog.types import MAX_DEPTH, MAX_LISTS, ColumnType, Family
from engine.errors import InvalidInput
from engine.execute.duckdb_errors import reason_of
from engine.publishing.csv.files import CsvFiles
from engine.publishing.file_kinds import kind_of
from engine.publishing.input_files import files_of, spill_folder_of, unpacked
from engine.publishing.json.files import JsonFiles
from engine.publishing.options import ReadOptions
from engine.publishing.parquet.files import ParquetFiles
from engine.publishing.schema_file import Declared

_WIDEST_DECIMAL = 38


class Files(Protocol):
    """Files of one kind: what they hold, and how fields are selected from them."""

    @property
    def found(self) -> Mapping[str, ColumnType | None]:
        """The columns with the types that fit them; None where the files disagree."""

    @property
    def parameters(self) -> dict[str, object]:
        """What `select` binds."""

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Source.notes`."""

    @property
    def average_row(self) -> float:
        """See `Source.average_row`."""

    def select(self, fields: Sequence[Field]) -> str:
        """The fields in their stored types; a value that cannot be read so is an error when the run is written."""


@dataclass(frozen=True, slots=True)
class Source:
    """A publication's rows: the fields, the SELECT that gives them in order, and what it binds."""

    fields: tuple[Field, ...]
    sql: str
    parameters: dict[str, object]
    notes: tuple[str, ...] = ()
    """What was decided without being asked for, one sentence each, for the publisher to read."""
    revise: Callable[[duckdb.Error], "Source | None"] = lambda _: None
    """What to read instead after DuckDB failed on ``sql``; None if nothing else helps. May raise InvalidInput."""
    average_row: float = 0.0
    """Bytes of a row, roughly."""
    begin: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None
    """To be called before each statement over ``sql``."""
    share_read: Callable[[], float] | None = None
    """How much of the files that statement has read, from 0 to 1; None if DuckDB itself can tell."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """By field, a further column of ``sql`` with the text of the value in a CSV export, where the files have it."""


_Look = Callable[[duckdb.DuckDBPyConnection, Sequence[Path], ReadOptions], Files]

KINDS: dict[str, _Look] = {
    "CSV": CsvFiles.look,
    "JSON": JsonFiles.look,
    "NDJSON": partial(JsonFiles.look, kind="NDJSON"),
    "GeoJSON": partial(JsonFiles.look, kind="GeoJSON"),
    "Parquet": ParquetFiles.look,
}
"""Who looks at files, by their kind."""


def open_source(
    connection: duckdb.DuckDBPyConnection,
    paths: Sequence[Path],
    declared: tuple[Declared, ...] | None,
    options: ReadOptions,
    before: Schema | None = None,
) -> Source:
    """Look at a publisher's files and decide how they are read; ``before`` is the schema of the run before.

    Raises InvalidInput with the reason and the remedy.
    """
    given = list(files_of(paths))
    plain = _plain_files(connection, given)
    name = _kind_of(plain, options)
    if options.format == "tsv" and options.delimiter is None:
        options = replace(options, delimiter="\t")
    try:
        files = KINDS[name](connection, plain, options)
    except duckdb.Error as error:
        raise InvalidInput(f"The {name} files cannot be read: {reason_of(error)}.") from error
    known = {field.name: field for field in before or ()}
    left_out = _left_out(given, files)
    if isinstance(files, CsvFiles):
        if declared is None and options.types == "auto":
            files = files.typed({name: field.type for name, field in known.items()})
        return _csv_source(connection, files, declared, known, left_out)
    fields = _fields(files, declared, known)
    notes = (*files.notes, *left_out)
    source = Source(fields, files.select(fields), files.parameters, notes, average_row=files.average_row)
    return replace(source, revise=files.revised) if isinstance(files, ParquetFiles) else source


def _csv_source(
    connection: duckdb.DuckDBPyConnection,
    files: CsvFiles,
    declared: tuple[Declared, ...] | None,
    known: Mapping[str, Field],
    left_out: tuple[str, ...],
) -> Source:
    def revise(error: duckdb.Error) -> Source | None:
        revised = files.revised(connection, error)
        return None if revised is None else _csv_source(connection, revised, declared, known, left_out)

    fields = _fields(files, declared, known)
    files = files.casting(fields)
    return Source(
        fields,
        files.select(fields),
        files.parameters,
        (*files.notes, *left_out),
        revise,
        files.average_row,
        files.begin,
        lambda: files.reading.share,
        files.texts(fields),
    )


def _fields(files: Files, declared: tuple[Declared, ...] | None, known: Mapping[str, Field]) -> tuple[Field, ...]:
    fields = _inferred(files.found, known) if declared is None else _declared(files.found, declared)
    if len(fields) > MAX_COLUMNS:
        raise InvalidInput(f"The files have more than {MAX_COLUMNS:,} columns, the most that a run has: bring fewer.")
    for one in fields:
        _check_type(one)
    return fields


def _plain_files(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> list[Path]:
    folder, limit = spill_folder_of(connection)
    return [unpacked(path, folder / f"input-{number}", limit) for number, path in enumerate(paths)]


def _left_out(paths: Sequence[Path], files: Files) -> tuple[str, ...]:
    """A note on what the names of folders say, in the manner of Hive, and the columns do not."""
    folders = (folder.partition("=") for path in paths for folder in path.parent.parts)
    keys = dict.fromkeys(key for key, sign, _ in folders if key and sign)
    missing = [f"{key}=..." for key in keys if key not in files.found]
    if not missing:
        return ()
    return (
        f"The names of folders ({', '.join(missing)}) are not part of the rows: to keep them, add them as columns "
        "before, for example by DuckDB's read_parquet with hive_partitioning=true.",
    )


def _kind_of(paths: Sequence[Path], options: ReadOptions) -> str:
    kinds = dict.fromkeys(kind_of(path, options.format) for path in paths)
    if len(kinds) != 1:
        raise InvalidInput(f"These files are {' and '.join(kinds)}: bring files of one kind.")
    kind = next(iter(kinds))
    if options.json_path is not None and kind in ("CSV", "Parquet"):
        raise InvalidInput(f"--json-path is for JSON files, and these are {kind}.")
    return kind


def _inferred(found: Mapping[str, ColumnType | None], known: Mapping[str, Field]) -> tuple[Field, ...]:
    """Fields of the types that were found; a LINK of the run before stays one while it is stored alike."""
    fields = []
    for name, type_ in map(_known, found.items()):
        before = known.get(name)
        data_type = before.data_type if before is not None and before.type == type_ else data_type_of(type_)
        fields.append(Field(name=name, data_type=data_type, type=type_))
    return tuple(fields)


def _known(item: tuple[str, ColumnType | None]) -> tuple[str, ColumnType]:
    name, type_ = item
    if type_ is None:
        raise InvalidInput(f"The files have the column {name} in types that no one type holds: declare it, or cast it.")
    return name, type_


def _declared(found: Mapping[str, ColumnType | None], declared: tuple[Declared, ...]) -> tuple[Field, ...]:
    names = {field.name for field in declared}
    surprise = sorted(found.keys() - names)
    if surprise:
        raise InvalidInput(
            f"The files have the column {surprise[0]!r}, which the schema does not declare: add it there."
        )
    check_names(field.name for field in declared)
    return tuple(
        Field(name=field.name, data_type=field.data_type, type=_declared_type(field, found.get(field.name)))
        for field in declared
    )


def _declared_type(field: Declared, found: ColumnType | None) -> ColumnType:
    """As declared; what is inside of an open OBJECT or ARRAY is told by the data."""
    nested = found is not None and found.family in (Family.LIST, Family.OBJECT, Family.MAP)
    return found if found is not None and nested and field.open else field.stored_type()


def _check_type(field: Field) -> None:
    """Refuse what could not be exported. Raises InvalidInput."""
    if field.type.depth() > MAX_DEPTH:
        raise InvalidInput(f"The field {field.name} is nested more than {MAX_DEPTH} levels deep: flatten it.")
    if field.type.depth("LIST") > MAX_LISTS:
        raise InvalidInput(f"The field {field.name} has more than {MAX_LISTS} lists within lists: flatten it.")
    # JSON has no number that begins with its point, and 38 digits behind it leave no room for one before.
    for type_ in field.type.walk():
        if type_.name == "DECIMAL" and type_.scale == _WIDEST_DECIMAL:
            raise InvalidInput(f"The column {field.name} is DECIMAL(38,38): 37 digits behind the point are the most.")
