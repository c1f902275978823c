"""CSV files of a publisher: cells of text, read in the types of the fields.

The header and all decisions are ours (`engine.publishing.csv`); the rows are read by DuckDB with nothing left to guess.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

import duckdb

from engine.catalog.field_names import check_names
from engine.catalog.schema import Field
from engine.catalog.types import TEXT, ColumnType, Family
from engine.common.quoting import identifier, literal
from engine.common.table_functions import exact_path, read_csv
from engine.errors import InvalidInput
from engine.publishing.csv.header import Header, read_header, unique
from engine.publishing.csv.rewriting import rewrite
from engine.publishing.csv.scan import Form, copy_rows, scan
from engine.publishing.csv.types import (
    DOES_NOT_FIT,
    Candidates,
    candidates,
    checked_cell,
    checked_null,
    evidence,
)
from engine.publishing.input_files import spill_folder_of
from engine.publishing.options import ReadOptions
from engine.publishing.renaming import check_all_found, renamed
from engine.publishing.types.lossless_casts import keeps_json, keeps_text
from engine.publishing.types.selecting import checked, from_text, missing, stored

_LINE_BYTES = 2_000_000
"""The longest line of a file that is read in its place; one with a longer line is written anew first."""
_BUFFER_BYTES = 4_000_000
_SPACE_BYTES = 1_000
_PIECE_BYTES = 32_000_000
"""DuckDB keeps the buffers of a file in memory to its end if it reads it with ``parallel=false``."""
_FAMILIES = {
    Family.TEXT,
    Family.INTEGER,
    Family.DECIMAL,
    Family.FLOAT,
    Family.BOOLEAN,
    Family.DATE,
    Family.TIMESTAMP,
}


@dataclass(frozen=True, slots=True)
class _CsvFile:
    """One file: where its rows are, and how DuckDB reads them."""

    source: Path
    header: Header
    columns: tuple[str, ...]
    """Their names in the run."""
    rows: tuple[Path, ...]
    """The files in which DuckDB finds its rows, in order."""
    skip: int
    delimiter: str
    null: str | None
    longest_row: int = 0
    is_rewritten: bool = False
    average_row: float = 0.0
    """Bytes, roughly."""
    row_count: int = 0
    sequential: bool = False
    """Whether DuckDB reads it from its beginning to its end (``parallel=false``)."""

    @property
    def width(self) -> int:
        """Columns that DuckDB reads."""
        return max(len(self.columns), 2 if self.is_rewritten else 1)

    @property
    def layout(self) -> tuple[object, ...]:
        """What files that are read together have in common."""
        return (
            self.columns,
            self.width,
            self.skip,
            self.delimiter,
            self.null,
            self.longest_row,
            self.sequential,
        )


@dataclass(frozen=True)
class CsvFiles:
    """Files of text cells: an empty cell is null, a quoted empty cell the empty string."""

    files: tuple[_CsvFile, ...]
    folder: Path
    """For files that have to be written anew."""
    options: ReadOptions
    header_notes: tuple[str, ...] = ()
    possible: Mapping[str, Candidates] = field(default_factory=dict)
    """What is known of columns whose types are found; empty if they stay text."""
    proven: bool = False
    """Whether all rows were read for that."""
    before: Mapping[str, ColumnType] = field(default_factory=dict)
    """Types of the run before."""

    @classmethod
    def look(cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], options: ReadOptions) -> "CsvFiles":
        """Read the headers, and look at the bytes of all rows. Raises InvalidInput."""
        folder, spill_limit = spill_folder_of(connection)
        folder, notes, files = folder.absolute(), [], []
        for number, path in enumerate(paths):
            header = read_header(path, options)
            columns, renaming_notes = _names(path, header, options)
            notes += [*header.notes, *renaming_notes]
            target = folder / f"rows-{number}.csv"
            files.append(_prepared(path, header, columns, target, spill_limit, pad=options.pad_short_rows))
        check_all_found((name for file in files for name in file.header.names), options.rename)
        return cls(tuple(files), folder, options, tuple(notes))

    def typed(self, before: Mapping[str, ColumnType]) -> "CsvFiles":
        """With types that keep every cell; those of the run before where they do."""
        cells: dict[str, list[str]] = {}
        for file in self.files:
            for index, name in enumerate(file.columns):
                # Rows of another width are an error when they are read.
                found = (row[index] for row in file.header.sample if index < len(row))
                cells.setdefault(name, []).extend(cell for cell in found if cell is not None)
        possible = {name: candidates(known) for name, known in cells.items()}
        # What text can be checked to come back from; a nested column of the run before is decided anew.
        usable = {name: type_ for name, type_ in before.items() if name in cells and type_.family in _FAMILIES}
        return replace(self, possible=possible, before=usable)

    @cached_property
    def found(self) -> dict[str, ColumnType | None]:
        """The columns of all files in order, with the types that keep every cell."""
        names = dict.fromkeys(name for file in self.files for name in file.columns)
        return {name: self._type(name) for name in names}

    @property
    def parameters(self) -> dict[str, object]:
        """What `select` binds."""
        return {
            f"paths{index}": [exact_path(path) for file in group for path in file.rows]
            for index, group in enumerate(self._groups)
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided: the encoding, the delimiter, names, and types that differ from the run before."""
        changed = [
            f"The column {name} was {self.before[name].sql()} in the run before and is {type_.sql()} now: "
            "its cells would not come back as they are."
            for name, type_ in self.found.items()
            if name in self.before and type_ is not None and type_ != self.before[name]
        ]
        return (*self.header_notes, *changed)

    @property
    def row_count(self) -> int:
        """Rows as we count them."""
        return sum(file.row_count for file in self.files)

    @property
    def average_row(self) -> float:
        """Bytes of a row, roughly: of the file with the longest rows."""
        return max((file.average_row for file in self.files), default=0.0)

    def select(self, fields: Sequence[Field]) -> str:
        """The fields in their stored types, row by row in the order of the files."""
        scalars = frozenset(
            field_.name for field_ in fields if field_.name not in self.possible and not _is_text_or_nested(field_.type)
        )
        return self._rows(
            lambda file: [f"{self._value(file, field_)} AS {identifier(field_.name)}" for field_ in fields], scalars
        )

    def revised(self, connection: duckdb.DuckDBPyConnection, error: duckdb.Error) -> "CsvFiles | None":
        """The files read otherwise after DuckDB failed on them, or None if that was not their fault.

        Raises InvalidInput with the line that is wrong, if one is.
        """
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.InterruptException):
            return None
        if DOES_NOT_FIT in str(error):
            return None if self.proven else self._with_proof(connection)
        if all(file.is_rewritten and file.sequential for file in self.files):
            return None
        if all(file.is_rewritten for file in self.files):
            # Some files are right, and DuckDB asks for that.
            return replace(self, files=tuple(replace(file, sequential=True) for file in self.files))
        return replace(self, files=tuple(map(self._rewritten, self.files, range(len(self.files)))))

    def _with_proof(self, connection: duckdb.DuckDBPyConnection) -> "CsvFiles":
        """All rows are read to find the types."""
        names = [name for name in self.found if not self.possible[name].is_text and self.before.get(name) != TEXT]
        rows = self._rows(
            lambda file: [
                f"{_cell(file, name) if name in file.columns else 'CAST(NULL AS VARCHAR)'} AS c{number}"
                for number, name in enumerate(names)
            ]
        )
        asked = [(f"c{number}", self.possible[name]) for number, name in enumerate(names)]
        try:
            found = evidence(connection, rows, self.parameters, asked)
        except duckdb.Error as error:
            revised = self.revised(connection, error)
            if revised is None:
                raise
            return revised._with_proof(connection)
        return replace(self, possible={**self.possible, **dict(zip(names, found, strict=True))}, proven=True)

    def _rewritten(self, file: _CsvFile, number: int) -> _CsvFile:
        if file.is_rewritten:
            return file
        return _written_anew(file, self.folder / f"rewritten-{number}.csv", pad=self.options.pad_short_rows)

    def _type(self, name: str) -> ColumnType:
        known, before = self.possible.get(name), self.before.get(name)
        if known is None:
            return TEXT
        if before is not None and (not known.seen or before == TEXT or known.include(before)):
            return before
        return known.best

    @cached_property
    def _groups(self) -> list[list[_CsvFile]]:
        return [list(group) for _, group in groupby(self.files, key=lambda file: file.layout)]

    def _rows(self, columns_of: "_Columns", scalars: frozenset[str] = frozenset()) -> str:
        """SQL for all rows; of the columns in ``scalars``, a quoted empty cell is null as well."""
        return " UNION ALL ".join(
            f"SELECT {', '.join(columns_of(group[0]))} FROM {_table(group[0], f'$paths{index}', scalars)}"  # noqa: S608  # quoted names
            for index, group in enumerate(self._groups)
        )

    def _value(self, file: _CsvFile, field_: Field) -> str:
        if field_.name not in file.columns:
            return missing(field_)
        cell = _cell(file, field_.name)
        known = self.possible.get(field_.name)
        if known is None:
            return _declared_value(cell, field_)
        if field_.type == TEXT and not (known.seen or self.proven) and field_.name not in self.before:
            return checked_null(cell)
        return checked_cell(cell, field_.type)


_Columns = Callable[[_CsvFile], list[str]]


def _prepared(
    path: Path, header: Header, columns: tuple[str, ...], target: Path, spill_limit: int, *, pad: bool
) -> _CsvFile:
    """The file as DuckDB can read it: in its place, if that is exact."""
    found = scan(path, header)
    file = _CsvFile(
        source=path,
        header=header,
        columns=columns,
        rows=(path.absolute(),),
        skip=1,
        delimiter=header.dialect.delimiter,
        null=header.dialect.null,
        average_row=found.bytes / max(found.rows, 1),
        row_count=found.rows,
        sequential=found.has_multiline_cells,
    )
    # A copy in pieces takes as much of the spill folder as the file itself.
    in_pieces = found.has_multiline_cells and _PIECE_BYTES < found.bytes < spill_limit // 2
    match found.form:
        case Form.AS_IT_IS if not in_pieces:
            return file
        case Form.AS_IT_IS | Form.COPY:
            max_bytes = _PIECE_BYTES if in_pieces else None
            rows = copy_rows(path, header, target, crlf=found.crlf, max_bytes=max_bytes)
            return replace(file, rows=tuple(rows), skip=0)
        case Form.REWRITE:
            return _written_anew(file, target, pad=pad)


def _written_anew(file: _CsvFile, target: Path, *, pad: bool) -> _CsvFile:
    new = rewrite(file.source, file.header, target, pad_short_rows=pad)
    return replace(
        file,
        rows=(target,),
        skip=0,
        delimiter=",",
        null=None,
        longest_row=new.longest_row if new.longest_row > _LINE_BYTES else 0,
        is_rewritten=True,
        average_row=target.stat().st_size / max(new.rows, 1),
        row_count=new.rows,
        sequential=new.has_multiline_cells,
    )


def _names(path: Path, header: Header, options: ReadOptions) -> tuple[tuple[str, ...], list[str]]:
    """What the columns of a file are called in the run, and what has to be said of it."""
    names, notes = tuple(renamed(header.names, options.rename)), []
    distinct, changed = unique(names)
    if changed and not options.rename_duplicates:
        new, name = next(iter(changed.items()))
        raise InvalidInput(
            f"{path.name}: more than one column is called {name!r} (letter case does not tell names apart). "
            f"Use --rename-duplicates to call the next one {new!r}."
        )
    if changed:
        notes.append(f"{path.name}: columns that repeat a name are called {', '.join(changed)}.")
    check_names(distinct)
    return distinct, notes


def _cell(file: _CsvFile, name: str) -> str:
    # By position: DuckDB never sees the names in the file.
    return f"c{file.columns.index(name)}"


def _declared_value(cell: str, field_: Field) -> str:
    type_ = field_.type
    if type_ == TEXT:
        return cell
    if _is_text_or_nested(type_):
        cell = f"CAST({cell} AS JSON)"
        return checked(field_, keeps_json(cell, type_), stored(cell, type_))
    return checked(field_, keeps_text(cell, type_), from_text(cell, type_))


def _is_text_or_nested(type_: ColumnType) -> bool:
    return bool(type_ == TEXT or type_.children or type_.family is Family.JSON)


def _table(file: _CsvFile, paths: str, scalars: frozenset[str]) -> str:
    if scalars.isdisjoint(file.columns):
        return _reader(file, paths)
    # Once for each column, not wherever its check has the cell: each place costs the memory of a vector, 32 KB.
    cells = ", ".join(
        f"nullif(c{index}, '') AS c{index}" if name in scalars else f"c{index}"
        for index, name in enumerate(file.columns)
    )
    return f"(SELECT {cells} FROM {_reader(file, paths)})"  # noqa: S608  # our own names


def _reader(file: _CsvFile, paths: str) -> str:
    """Everything is stated; `engine.publishing.csv.scan` says why it is stated so."""
    columns = ", ".join(f"c{index}: 'VARCHAR'" for index in range(file.width))
    nulls = ", ".join(map(literal, ["", *([] if file.null is None else [file.null])]))
    line = max(_LINE_BYTES, file.longest_row + _SPACE_BYTES)
    return read_csv(
        paths,
        f"auto_detect=false, columns={{{columns}}}, header=false, skip={file.skip}, delim={literal(file.delimiter)}, "
        f"parallel={str(not file.sequential).lower()}, "
        "quote='\"', escape='\"', comment='', new_line='\\n', strict_mode=true, null_padding=false, "
        f"nullstr=[{nulls}], allow_quoted_nulls=false, "
        f"max_line_size={line}, buffer_size={max(_BUFFER_BYTES, line)}",
    )
