"""A read-only SQL session for operators over the published runs of all teams.

DuckDB can open no local file. It reads parts and the rows of views through file systems that cannot write and that have
no other files, so no statement can change what is published. It writes results to ``stage://0``, which passes the bytes
to a Python function.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import duckdb

from engine.catalog.catalog import ResultStore
from engine.catalog.duckdb_types import type_of_duckdb
from engine.catalog.manifest import Part
from engine.catalog.schema import Field, data_type_of
from engine.common.chunk import Chunk
from engine.common.quoting import identifier, literal
from engine.errors import Cancelled, InvalidRequest, LimitExceeded, SourceDamaged, StoreUnavailable
from engine.execute.compression import CompressingSink, compressing
from engine.execute.duckdb_errors import in_one_line, place_of
from engine.execute.file_assembler import ArrayAssembler, FileAssembler
from engine.execute.filesystems import PART, STAGE, PartFileSystem, StageFileSystem
from engine.execute.ordered_sink import OrderedSink
from engine.execute.session import QUERY_OPTIMIZERS, fence, open_session
from engine.execute.xlsx.workbook import WorkbookAssembler
from engine.plan.planner import check_columns, too_many_rows
from engine.query.inspect.catalog_files import CATALOG, CatalogFileSystem
from engine.query.inspect.named_runs import NamedRuns
from engine.query.inspect.own_files import NOTHING, OwnData, add_own_data, open_own_files
from engine.query.inspect.snapshot import Snapshot
from engine.query.inspect.statements import Kind, Statement, parse, split
from engine.query.inspect.text_rows import TextRows
from engine.query.inspect.views import KINDS, create_session_views
from engine.request.formats import DELIMITERS, FORMATS, Format
from engine.request.request import CsvOptions
from engine.settings import DuckDBSettings
from engine.sql.exact_values import exact
from engine.sql.projection import project
from engine.stores.port import ObjectStore

_ResultT = TypeVar("_ResultT")

_CSV = CsvOptions()
_TARGET = f"{STAGE}://0"
_UNSUPPORTED = "Use one read-only statement: SELECT, FROM, WITH, DESCRIBE, SHOW, SUMMARIZE or PIVOT."

Values = Mapping[str, object]
"""Values of ``$parameters`` by name. DuckDB converts text like a literal that it is compared with."""

NO_VALUES: Values = MappingProxyType({})


class Inspection:
    """An open session; see `open_inspection`."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        parts: PartFileSystem,
        catalog: CatalogFileSystem | None = None,
        named: NamedRuns | None = None,
    ) -> None:
        self._connection = connection
        self._parts = parts
        self._catalog = catalog
        self._named = named

    def statements(self, script: str) -> list[Statement]:
        """The statements of a script, none of which has run. Raises InvalidRequest for the first that is refused."""
        statements = []
        for text in split(script):
            with self._translated_errors(text=text):
                statements.append(parse(self._connection, text))
        return statements

    def rows(self, statement: Statement, values: Values = NO_VALUES) -> TextRows:
        """Run a statement and return its rows as DuckDB displays them; only a change has none, without RETURNING.

        The rows are read while the statement runs, so only one result can be read at a time. ``values`` are those of
        the statement's parameters; others are ignored. Raises InvalidRequest, LimitExceeded, Cancelled, SourceDamaged
        or StoreUnavailable; so does reading the rows.
        """
        bound = _bound(statement, values)
        with self._translated_errors(text=statement.text, values=bound):
            relation = self._run(lambda: self._connection.sql(statement.text, params=bound))
            return TextRows.of(relation if statement.has_rows else None, self._translated_errors)

    def plan(self, statement: Statement, values: Values = NO_VALUES) -> str:
        """Return the answer of an EXPLAIN. Raises as `rows` does."""
        bound = _bound(statement, values)
        with self._translated_errors(text=statement.text, values=bound):
            plans = self._run(lambda: self._connection.execute(statement.text, bound).fetchall())
            return "\n".join(plan for _, plan in plans)

    def write(
        self,
        query: str,
        format_: Format,
        forward: Callable[[Chunk], None],
        values: Values = NO_VALUES,
        csv: CsvOptions = _CSV,
    ) -> tuple[list[Field], int]:
        """Run a query and pass its result to ``forward`` as a file of the format, with the same bytes as an export.

        Blocks of Parquet and xlsx may end elsewhere. Returns the columns and the number of rows. Raises as `rows` does,
        and InvalidRequest unless the query is one statement that only reads, and no EXPLAIN.
        """
        statement = self._selecting(query)
        bound = _bound(statement, values)
        with self._translated_errors(text=statement.text, values=bound):
            fields, types = self._run(lambda: self._fields(statement.text, bound))
        check_columns(format_, [field.name for field in fields])
        sink = compressing(OrderedSink(_assembler(format_, fields), forward, count=1, max_waiting_bytes=0))
        self._connection.unregister_filesystem(STAGE)
        self._connection.register_filesystem(StageFileSystem(sink))
        with self._translated_errors(sink):
            row = self._connection.execute(_copy(statement.text, fields, types, format_, csv), bound).fetchone()
            rows: int = row[0] if row else 0
            if format_.max_rows is not None and rows > format_.max_rows:
                raise too_many_rows(format_, rows)
            sink.end(0)
            return fields, rows

    def refresh(self) -> None:
        """Let the next statements see what has been published or deleted meanwhile."""
        if self._catalog is not None and self._named is not None:
            self._catalog.forget()
            self._named.forget(self._connection)

    def columns(self, query: str, values: Values = NO_VALUES) -> list[tuple[Field, str]]:
        """The columns of a query, each with DuckDB's type of it. The query does not run. Raises as `rows` does."""
        with self._translated_errors(text=query, values=values):
            fields, types = self._fields(query, values)
            return [(field, str(type_)) for field, type_ in zip(fields, types, strict=True)]

    def write_first(
        self, query: str, limit: int, format_: Format, forward: Callable[[Chunk], None], values: Values = NO_VALUES
    ) -> tuple[int, bool]:
        """As `write` for the first rows of a query.

        Returns the number of rows, and whether there are more: for that, a query which reaches the limit runs up to the
        next row once again. A temporary table of the rows would be in the answer of SHOW TABLES.
        """
        source = within(query)
        _, rows = self.write(f"{source} LIMIT {limit}", format_, forward, values)
        if rows < limit:
            return rows, False
        with self._translated_errors(text=query, values=values):
            # Not the row itself: DuckDB's client makes times with a zone only where pytz is installed.
            more = f"SELECT 1 {source} LIMIT 1 OFFSET {limit}"
            found = self._connection.execute(more, dict(values)).fetchone()
        return rows, found is not None

    def cancel(self) -> None:
        """Make the running query raise Cancelled. Can be called from any thread or from a signal handler."""
        self._connection.interrupt()

    def _run(self, statement: Callable[[], _ResultT]) -> _ResultT:
        """The result of a statement, once the runs that it names are known."""
        return statement() if self._named is None else self._named.run(self._connection, statement)

    def _fields(self, query: str, values: Values) -> tuple[list[Field], list[Any]]:
        """The fields of a result, and DuckDB's types of them."""
        # With values, DuckDB's client would run the query now, and hold its result in memory.
        bound = f"{within(query)} LIMIT 0" if values else query
        relation = self._connection.sql(bound, params=dict(values))
        names = [name.lower() for name in relation.columns]
        for name in names:
            if names.count(name) > 1:
                raise _invalid(f"Duplicate column name {name!r}; alias one with AS.")
        types = [type_of_duckdb(name, type_) for name, type_ in zip(relation.columns, relation.types, strict=True)]
        fields = [
            Field(name=name, data_type=data_type_of(type_), type=type_)
            for name, type_ in zip(relation.columns, types, strict=True)
        ]
        return fields, list(relation.types)

    def _selecting(self, query: str) -> Statement:
        statements = self.statements(query)
        if len(statements) != 1 or statements[0].kind is Kind.CHANGE:
            raise _invalid(_UNSUPPORTED)
        if statements[0].kind is Kind.PLAN:
            raise _invalid("EXPLAIN is supported for the table format only.")
        return statements[0]

    @contextmanager
    def _translated_errors(
        self, sink: OrderedSink | CompressingSink | None = None, *, text: str | None = None, values: Values = NO_VALUES
    ) -> Iterator[None]:
        """Raise the error of the store or sink that caused DuckDB's, or DuckDB's own in one line.

        If the statement's ``text`` is given, the line and the place in it follow, as DuckDB shows them.
        """
        self._parts.failure = None
        if self._catalog is not None:
            self._catalog.failure = None
        try:
            yield
        except duckdb.InterruptException as error:
            raise Cancelled("The query was cancelled.") from error
        except duckdb.Error as error:
            if sink is not None and sink.failure is not None:
                raise sink.failure from error
            if self._catalog is not None and self._catalog.failure is not None:
                raise self._catalog.failure from error
            if isinstance(self._parts.failure, StoreUnavailable):
                raise self._parts.failure from error
            if self._parts.failure is not None:
                raise SourceDamaged("A part of a run is missing or was changed after it was published.") from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise LimitExceeded("The query exceeds the memory limit; select fewer rows or columns.") from error
            place = "" if text is None else place_of(self._connection, error, text, values)
            raise _invalid(f"{in_one_line(error)}{place}") from error


@contextmanager
def open_inspection(
    results: ResultStore,
    exports: ObjectStore | None,
    settings: DuckDBSettings,
    own: OwnData = NOTHING,
    *,
    index: Callable[[str], Path | None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Inspection]:
    """Open a session over both stores; without ``exports``, the view ``exports`` is empty.

    A statement reads the documents of the runs that it names. One over a view reads those of the whole store, or of
    what has changed since the last session with the same ``index``: the file for what views show of a store, by its
    role. Damaged documents are left out and reported to ``warn``. What has been read stays as it is for the session.
    Raises InvalidInput for files of ``own`` that cannot be read.
    """
    parts: dict[str, Part] = {}
    part_files = PartFileSystem(results.store, parts, datetime.now(UTC))
    # A path can be allowed only if its file system is registered; `Inspection.write` replaces this one.
    unused = StageFileSystem(OrderedSink(FileAssembler(), lambda _: None, count=1, max_waiting_bytes=0))
    with closing(Snapshot(results, exports, index=index, warn=warn)) as snapshot, open_own_files(own.files) as files:
        catalog = CatalogFileSystem(snapshot, KINDS)
        file_systems = (part_files, catalog, unused, files)
        with open_session(settings, threads=settings.threads, file_systems=file_systems, locked=False) as connection:
            # Exports disable the optimizer's join order; queries need it.
            connection.execute(QUERY_OPTIMIZERS)
            create_session_views(connection)
            add_own_data(connection, own)
            allowed = [_TARGET, *(file.url for file in own.files)]
            # The two file systems open what is published, and nothing else.
            for statement in fence(allowed, folders=[f"{PART}://", f"{CATALOG}://"]):
                connection.execute(statement)
            named = NamedRuns(results, parts, _part_url, snapshot.report)
            yield Inspection(connection, part_files, catalog, named)


def within(query: str) -> str:
    """A query that returns the rows of another, which is one statement without a semicolon."""
    return f"FROM (\n{query}\n)"


def _assembler(format_: Format, fields: list[Field]) -> FileAssembler:
    match format_.name:
        case "json":
            return ArrayAssembler()
        case "xlsx":
            return WorkbookAssembler(fields)
    return FileAssembler()


def _copy(query: str, fields: list[Field], types: list[Any], format_: Format, csv: CsvOptions) -> str:
    cells = ", ".join(
        f"{exact(field.name, type_, field.type.sql())} AS {identifier(field.name)}"
        for field, type_ in zip(fields, types, strict=True)
    )
    header = f", HEADER true, DELIMITER {literal(DELIMITERS[csv.delimiter])}" if format_ is FORMATS["csv"] else ""
    options = f"{format_.copy_options}{header}, USE_TMP_FILE false"
    source = f"(SELECT {cells} FROM (\n{query}\n))"  # noqa: S608  # checked to be a single SELECT
    select = project(tuple(fields), format_, csv, source)
    return f"COPY ({select}) TO {literal(_TARGET)} ({options})"


def _part_url(key: str) -> str:
    return f"{PART}://{key}"


def _bound(statement: Statement, values: Values) -> dict[str, object]:
    """The values of the statement's parameters; DuckDB refuses others, and reports those that are missing."""
    return {name: value for name, value in values.items() if name in statement.parameters}


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(reason, parameter="query")
