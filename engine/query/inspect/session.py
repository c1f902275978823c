"""A read-only SQL session for operators over the published runs of all teams.

DuckDB can open no local file. It reads parts through a file system that cannot write, so no statement can change what
is published, and it writes results to ``stage://0``, which passes the bytes to a Python function.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime

import duckdb

from engine.catalog.catalog import ResultStore
from engine.catalog.duckdb_types import type_of_duckdb
from engine.catalog.schema import Field, data_type_of
from engine.common.chunk import Chunk
from engine.common.quoting import identifier, literal
from engine.errors import Cancelled, InvalidRequest, LimitExceeded, SourceDamaged, StoreUnavailable
from engine.execute.file_assembler import ArrayAssembler, FileAssembler
from engine.execute.filesystems import PART, STAGE, PartFileSystem, StageFileSystem
from engine.execute.ordered_sink import OrderedSink
from engine.execute.session import fence, open_session
from engine.query.inspect.snapshot import take_snapshot
from engine.query.inspect.views import create_views
from engine.request.formats import FORMATS, Format
from engine.request.request import CsvOptions
from engine.settings import DuckDBSettings
from engine.sql.projection import project
from engine.stores.port import ObjectStore

_TARGET = f"{STAGE}://0"
_READ_ONLY = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_UNSUPPORTED = (
    "Use one read-only statement: SELECT, FROM, WITH, DESCRIBE, SHOW, SUMMARIZE, PIVOT ... IN, or EXPLAIN of one."
)


class Inspection:
    """An open session; see `open_inspection`."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, parts: PartFileSystem, skipped: tuple[str, ...] = ()
    ) -> None:
        self.skipped = skipped
        """A sentence for each damaged document, which is left out."""
        self._connection = connection
        self._parts = parts

    def draw_table(self, query: str, *, max_width: int, max_rows: int) -> str:
        """Run a query and draw its result as a table; columns and rows in the middle are left out if it is too large.

        ``max_width`` is in characters. Raises InvalidRequest, LimitExceeded, Cancelled, SourceDamaged or
        StoreUnavailable.
        """
        with self._translated_errors():
            statement = self._checked(query)
            if statement.type == duckdb.StatementType.EXPLAIN:
                plans = self._connection.execute(statement).fetchall()
                return "\n".join(plan for _, plan in plans)
            output = io.StringIO()
            with redirect_stdout(output):
                self._connection.sql(_without_semicolon(query)).show(max_width=max_width, max_rows=max_rows)
            return output.getvalue().strip("\n")

    def check(self, query: str) -> None:
        """Raise InvalidRequest unless the query is one read-only statement other than EXPLAIN."""
        with self._translated_errors():
            if self._checked(query).type == duckdb.StatementType.EXPLAIN:
                raise _invalid("EXPLAIN is supported for the table format only.")

    def write(self, query: str, format_: Format, forward: Callable[[Chunk], None]) -> tuple[list[Field], int]:
        """Run a query and pass its result to ``forward`` as a file of the format, with the same bytes as an export.

        Returns the columns and the number of rows. Raises as `draw_table` does.
        """
        assembler = ArrayAssembler() if format_.name == "json" else FileAssembler()
        sink = OrderedSink(assembler, forward, count=1, max_waiting_bytes=0)
        self._connection.unregister_filesystem(STAGE)
        self._connection.register_filesystem(StageFileSystem(sink))
        self.check(query)
        with self._translated_errors(sink):
            select = _without_semicolon(query)
            fields = self._fields(select)
            row = self._connection.execute(_copy(select, fields, format_)).fetchone()
            sink.end(0)
            return fields, row[0] if row else 0

    def cancel(self) -> None:
        """Make the running query raise Cancelled. Can be called from any thread or from a signal handler."""
        self._connection.interrupt()

    def _fields(self, query: str) -> list[Field]:
        relation = self._connection.sql(query)
        names = [name.lower() for name in relation.columns]
        for name in names:
            if names.count(name) > 1:
                raise _invalid(f"Duplicate column name {name!r}; alias one with AS.")
        types = [type_of_duckdb(name, type_) for name, type_ in zip(relation.columns, relation.types, strict=True)]
        return [
            Field(name=name, data_type=data_type_of(type_), type=type_)
            for name, type_ in zip(relation.columns, types, strict=True)
        ]

    def _checked(self, query: str) -> duckdb.Statement:
        """Parse a query of one read-only statement. DuckDB would refuse writes as well, with a less useful message."""
        statements = self._connection.extract_statements(_encodable(query))
        if len(statements) != 1 or statements[0].type not in _READ_ONLY:
            raise _invalid(_UNSUPPORTED)
        if statements[0].type == duckdb.StatementType.EXPLAIN:
            # EXPLAIN ANALYZE runs the statement.
            words = query.split()
            explained = words[2:] if words[1].upper() == "ANALYZE" else words[1:]
            if words[0].upper() != "EXPLAIN" or self._checked(" ".join(explained)).type == duckdb.StatementType.EXPLAIN:
                raise _invalid(_UNSUPPORTED)
        return statements[0]

    @contextmanager
    def _translated_errors(self, sink: OrderedSink | None = None) -> Iterator[None]:
        """Raise the error of the store or sink that caused DuckDB's, or DuckDB's own in one line."""
        self._parts.failure = None
        try:
            yield
        except duckdb.InterruptException as error:
            raise Cancelled("The query was cancelled.") from error
        except duckdb.Error as error:
            if sink is not None and sink.failure is not None:
                raise sink.failure from error
            if isinstance(self._parts.failure, StoreUnavailable):
                raise self._parts.failure from error
            if self._parts.failure is not None:
                raise SourceDamaged("A part of a run is missing or was changed after it was published.") from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise LimitExceeded("The query exceeds the memory limit; select fewer rows or columns.") from error
            raise _invalid(_sentence(error)) from error


@contextmanager
def open_inspection(
    results: ResultStore, exports: ObjectStore | None, settings: DuckDBSettings
) -> Iterator[Inspection]:
    """Open a session over a snapshot of the stores; without ``exports``, the view ``exports`` is empty.

    Damaged documents are left out and reported by `Inspection.skipped`. Raises StoreError.
    """
    snapshot = take_snapshot(results, exports)
    parts = PartFileSystem(results.store, snapshot.parts, datetime.now(UTC))
    # A path can be allowed only if its file system is registered; `Inspection.write` replaces this one.
    unused = StageFileSystem(OrderedSink(FileAssembler(), lambda _: None, count=1, max_waiting_bytes=0))
    with open_session(settings, threads=settings.threads, file_systems=(parts, unused), locked=False) as connection:
        # Exports disable the optimizer's join order; queries need it.
        connection.execute("RESET disabled_optimizers")
        create_views(connection, snapshot, _part_url)
        allowed = [_TARGET, *map(_part_url, snapshot.parts)]
        for statement in fence(allowed):
            connection.execute(statement)
        yield Inspection(connection, parts, snapshot.skipped)


def is_complete(query: str) -> bool:
    """Whether the query ends with the semicolon of a statement, not with one in a string or comment."""
    tokens = duckdb.tokenize(query)
    return bool(tokens) and query.encode()[tokens[-1][0] :].lstrip().startswith(b";")


def _copy(query: str, fields: list[Field], format_: Format) -> str:
    cells = ", ".join(f"CAST({identifier(f.name)} AS {f.type.sql()}) AS {identifier(f.name)}" for f in fields)
    options = f"{format_.copy_options}{', HEADER true' if format_ is FORMATS['csv'] else ''}, USE_TMP_FILE false"
    source = f"(SELECT {cells} FROM (\n{query}\n))"  # noqa: S608  # checked to be a single SELECT
    select = project(tuple(fields), format_, CsvOptions(), source)
    return f"COPY ({select}) TO {literal(_TARGET)} ({options})"


def _part_url(key: str) -> str:
    return f"{PART}://{key}"


def _without_semicolon(query: str) -> str:
    """The query as a subquery can have it."""
    tokens = duckdb.tokenize(query)
    return query.encode()[: tokens[-1][0]].decode() if is_complete(query) else query


def _encodable(query: str) -> str:
    try:
        query.encode()
    except UnicodeEncodeError:
        raise _invalid("The query is not valid UTF-8.") from None
    return query


def _sentence(error: duckdb.Error) -> str:
    """DuckDB's message in one line, without the excerpt of the query."""
    lines = str(error).split("\n\nLINE ")[0].split("\n\nAt:")[0].splitlines()
    return " ".join(line.strip() for line in lines if line.strip()).removeprefix("Invalid Input Error: ")[:500]


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(reason, parameter="query")
