"""CSV files of a publisher: cells of text, read in the types of the fields.

The header and all decisions are ours (`engine.publishing.csv`); the rows are parsed by Arrow, and typed by DuckDB.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, groupby
from pathlib import Path

import duckdb
import pyarrow as pa

from engine.catalog.schema import Field
from engine.catalog.types import TEXT, ColumnType, Family
from engine.common.concurrency import one_ahead
from engine.common.quoting import identifier
from engine.publishing.csv.arrow_casts import Unusual, arrow_type, can_cast, cast
from engine.publishing.csv.header import Header, read_header
from engine.publishing.csv.records import Dialect
from engine.publishing.csv.rewriting import rewrite
from engine.publishing.csv.rows import Layout, Misread, average_row, batches, is_simple, schema
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
from engine.publishing.renaming import check_all_found, names_in_run
from engine.publishing.types.lossless_casts import keeps_json, keeps_text
from engine.publishing.types.selecting import checked, from_text, missing, stored

_MISREAD = (Misread, UnicodeError, pa.ArrowInvalid)
"""The file has to be read record by record."""
_FAMILIES = {
    Family.TEXT,
    Family.INTEGER,
    Family.DECIMAL,
    Family.FLOAT,
    Family.BOOLEAN,
    Family.DATE,
    Family.TIMESTAMP,
}
_LONG_ROW = 2_048
"""Bytes of a row from which a chunk has so few that Arrow's calls for each column take longer than DuckDB's checks."""
_SPELLED = {Family.INTEGER, Family.DECIMAL, Family.FLOAT, Family.BOOLEAN, Family.DATE}
"""Families whose text in a CSV export is what the hash of a row takes."""


@dataclass(frozen=True, slots=True)
class _CsvFile:
    """One file, and how its rows are read."""

    source: Path
    header: Header
    columns: tuple[str, ...]
    """Their names in the run."""
    rows: Path
    """Where they are."""
    layout: Layout
    is_rewritten: bool = False

    @property
    def kind(self) -> tuple[object, ...]:
        """What files that are read together have in common."""
        return self.columns, self.layout.width


class _Reading:
    """How much of the files was read; one object for all forms in which they are read."""

    def __init__(self) -> None:
        self.bytes = self.total = 0
        self.failure: BaseException | None = None
        """What ended it, if that was not the files' fault: DuckDB makes an error of its own of any."""
        self.is_misread = False
        """Whether a file ended it that has to be read record by record."""
        self.is_unusual = False
        """Whether a cell ended it that Arrow does not cast."""

    def begin(self, total: int) -> None:
        """They are read from the beginning."""
        self.bytes, self.total, self.is_misread, self.is_unusual = 0, total, False, False

    def add(self, size: int) -> None:
        """More bytes were read."""
        self.bytes += size

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.bytes / max(self.total, 1)


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
    casts: Mapping[str, ColumnType] = field(default_factory=dict)
    """Columns that Arrow casts."""
    are_usual: bool = True
    """Whether no cell was found that Arrow does not cast."""
    reading: _Reading = field(default_factory=_Reading)

    @classmethod
    def look(cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], options: ReadOptions) -> "CsvFiles":
        """Read the headers. Raises InvalidInput."""
        folder, notes, files = spill_folder_of(connection)[0].absolute(), [], []
        for number, path in enumerate(paths):
            header = read_header(path, options)
            columns, renaming_notes = names_in_run(path.name, header.names, options)
            notes += [*header.notes, *renaming_notes]
            target = folder / f"rows-{number}.csv"
            files.append(_prepared(path, header, columns, target, pad=options.pad_short_rows))
        check_all_found((name for file in files for name in file.header.names), options.rename)
        return cls(tuple(files), folder, options, tuple(notes))

    def typed(self, before: Mapping[str, ColumnType]) -> "CsvFiles":
        """With types that keep every cell; those of the run before where they do."""
        possible = {name: candidates(known) for name, known in self._sample.items()}
        # What text can be checked to come back from; a nested column of the run before is decided anew.
        usable = {name: type_ for name, type_ in before.items() if name in possible and type_.family in _FAMILIES}
        return replace(self, possible=possible, before=usable)

    def casting(self, fields: Sequence[Field]) -> "CsvFiles":
        """With Arrow's casts for those of the fields whose first cells are usual."""
        casts = {
            field_.name: field_.type
            for field_ in fields
            if self.are_usual
            and (field_.name not in self.possible or self.average_row < _LONG_ROW)
            and can_cast(self._sample.get(field_.name, ()), field_.type, found=field_.name in self.possible)
        }
        return replace(self, casts=casts)

    @cached_property
    def _sample(self) -> dict[str, list[str]]:
        """The first cells of each column that are not null."""
        cells: dict[str, list[str]] = {}
        for file in self.files:
            for index, name in enumerate(file.columns):
                # Rows of another width are an error when they are read.
                found = (row[index] for row in file.header.sample if index < len(row))
                cells.setdefault(name, []).extend(cell for cell in found if cell is not None)
        return cells

    @cached_property
    def found(self) -> dict[str, ColumnType | None]:
        """The columns of all files in order, with the types that keep every cell."""
        names = dict.fromkeys(name for file in self.files for name in file.columns)
        return {name: self._type(name) for name in names}

    @property
    def parameters(self) -> dict[str, object]:
        """What `select` binds: nothing."""
        return {}

    def begin(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Have the files read from their beginnings by the next statement over `select`: streams can be read once."""
        self.reading.begin(sum(file.rows.stat().st_size for file in self.files))
        for index, group in enumerate(self._groups):
            stream = pa.RecordBatchReader.from_batches(
                self._schema(group[0]),
                self._told_apart(one_ahead(chain.from_iterable(map(self._cast, group)))),
            )
            # DuckDB would read ahead without a limit in a reader of Arrow's, and does not in its C interface.
            connection.register(_view(index), stream.__arrow_c_stream__())

    def _told_apart(self, found: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            yield from found
        except GeneratorExit:
            raise
        except _MISREAD:
            self.reading.is_misread = True
            raise
        except Unusual:
            self.reading.is_unusual = True
            raise
        except BaseException as error:
            # KeyboardInterrupt, for example: DuckDB waits for these rows in the thread of its caller.
            self.reading.failure = error
            raise

    def _batches(self, file: _CsvFile) -> Iterator[pa.RecordBatch]:
        return batches(file.rows, file.layout, self.reading.add)

    def _cast(self, file: _CsvFile) -> Iterator[pa.RecordBatch]:
        types = self._schema(file)
        casts = [(index, name, self.casts[name]) for index, name in enumerate(file.columns) if name in self.casts]
        for batch in self._batches(file):
            cells = batch.columns
            for index, name, type_ in casts:
                cells[index] = cast(cells[index], type_, empty_is_null=name not in self.possible)
            yield pa.RecordBatch.from_arrays(cells, schema=types)

    def _schema(self, file: _CsvFile) -> pa.Schema:
        columns = schema(file.layout.width)
        for index, name in enumerate(file.columns):
            if name in self.casts:
                columns = columns.set(index, pa.field(columns.names[index], arrow_type(self.casts[name])))
        return columns

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
    def average_row(self) -> float:
        """Bytes of a row, roughly: of the file with the longest rows."""
        return max((file.layout.average_row for file in self.files), default=0.0)

    def select(self, fields: Sequence[Field]) -> str:
        """The fields in their stored types, row by row in the order of the files."""
        scalars = frozenset(
            field_.name
            for field_ in fields
            if field_.name not in self.possible
            and field_.name not in self.casts
            and not _is_text_or_nested(field_.type)
        )
        texts = self.texts(fields)
        return self._rows(
            lambda file: [
                *(f"{self._value(file, field_)} AS {identifier(field_.name)}" for field_ in fields),
                *(f"{_cell_or_null(file, name)} AS {text}" for name, text in texts.items()),
            ],
            scalars,
        )

    def texts(self, fields: Sequence[Field]) -> dict[str, str]:
        """See `Source.texts`: a cell of a type that is found is checked to come back. Arrow's casts leave no text."""
        found = [
            field_.name
            for field_ in fields
            if field_.name in self.possible and field_.name not in self.casts and field_.type.family in _SPELLED
        ]
        return {name: f"_text_{number}" for number, name in enumerate(found)}

    def revised(self, connection: duckdb.DuckDBPyConnection, error: duckdb.Error) -> "CsvFiles | None":
        """The files read otherwise after DuckDB failed on them, or None if that was not their fault.

        Raises InvalidInput with the line that is wrong, if one is.
        """
        if self.reading.failure is not None:
            raise self.reading.failure
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.InterruptException):
            return None
        if self.reading.is_unusual:
            by_duckdb = replace(self, casts={}, are_usual=False)
            # A cell of a type that is found most likely does not fit: all of them tell what does.
            return by_duckdb._with_proof(connection) if self.possible and not self.proven else by_duckdb
        # The text of an error from our stream has those that were handled before it.
        if DOES_NOT_FIT in str(error) and not self.reading.is_misread:
            return None if self.proven else replace(self, casts={})._with_proof(connection)
        files = tuple(
            file if file.is_rewritten or self._is_readable(file) else self._rewritten(file, number)
            for number, file in enumerate(self.files)
        )
        return None if files == self.files else replace(self, files=files)

    def _is_readable(self, file: _CsvFile) -> bool:
        try:
            deque(self._batches(file), maxlen=0)
        except _MISREAD:
            return False
        return True

    def _with_proof(self, connection: duckdb.DuckDBPyConnection) -> "CsvFiles":
        """All rows are read to find the types."""
        names = [name for name in self.found if not self.possible[name].is_text and self.before.get(name) != TEXT]
        rows = self._rows(
            lambda file: [f"{_cell_or_null(file, name)} AS c{number}" for number, name in enumerate(names)]
        )
        asked = [(f"c{number}", self.possible[name]) for number, name in enumerate(names)]
        try:
            found = evidence(connection, rows, self.begin, asked)
        except duckdb.Error as error:
            revised = self.revised(connection, error)
            if revised is None:
                raise
            return revised._with_proof(connection)
        return replace(self, possible={**self.possible, **dict(zip(names, found, strict=True))}, proven=True)

    def _rewritten(self, file: _CsvFile, number: int) -> _CsvFile:
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
        return [list(group) for _, group in groupby(self.files, key=lambda file: file.kind)]

    def _rows(self, columns_of: "_Columns", scalars: frozenset[str] = frozenset()) -> str:
        """SQL for all rows; of the columns in ``scalars``, a quoted empty cell is null as well."""
        return " UNION ALL ".join(
            f"SELECT {', '.join(columns_of(group[0]))} FROM {_table(group[0], _view(index), scalars)}"  # noqa: S608  # quoted names
            for index, group in enumerate(self._groups)
        )

    def _value(self, file: _CsvFile, field_: Field) -> str:
        if field_.name not in file.columns:
            return missing(field_)
        cell = _cell(file, field_.name)
        if field_.name in self.casts:
            return cell
        known = self.possible.get(field_.name)
        if known is None:
            return _declared_value(cell, field_)
        if field_.type == TEXT and not (known.seen or self.proven) and field_.name not in self.before:
            return checked_null(cell)
        return checked_cell(cell, field_.type)


_Columns = Callable[[_CsvFile], list[str]]


def _prepared(path: Path, header: Header, columns: tuple[str, ...], target: Path, *, pad: bool) -> _CsvFile:
    """The file, or its rows written anew if they cannot be read in their place."""
    layout = Layout(header.dialect, header.line, len(columns), average_row(path))
    file = _CsvFile(path, header, columns, path.absolute(), layout)
    return file if is_simple(header.dialect, header.names) else _written_anew(file, target, pad=pad)


def _written_anew(file: _CsvFile, target: Path, *, pad: bool) -> _CsvFile:
    new = rewrite(file.source, file.header, target, pad_short_rows=pad)
    # No line is blank: those of one column have two cells.
    layout = Layout(Dialect(), 0, max(len(file.columns), 2), target.stat().st_size / max(new.rows, 1), new.longest_row)
    return replace(file, rows=target, layout=layout, is_rewritten=True)


def _cell(file: _CsvFile, name: str) -> str:
    # By position: DuckDB never sees the names in the file.
    return f"c{file.columns.index(name)}"


def _cell_or_null(file: _CsvFile, name: str) -> str:
    return _cell(file, name) if name in file.columns else "CAST(NULL AS VARCHAR)"


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


def _view(index: int) -> str:
    """What DuckDB calls the rows of a group of files."""
    return f"csv_rows_{index}"


def _table(file: _CsvFile, rows: str, scalars: frozenset[str]) -> str:
    if scalars.isdisjoint(file.columns):
        return rows
    # Once for each column, not wherever its check has the cell: each place costs the memory of a vector, 32 KB.
    cells = ", ".join(
        f"nullif(c{index}, '') AS c{index}" if name in scalars else f"c{index}"
        for index, name in enumerate(file.columns)
    )
    return f"(SELECT {cells} FROM {rows})"  # noqa: S608  # our own names
