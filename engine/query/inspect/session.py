"""SQL over what is published, for the operator: every team's runs, read-only.

The session opens no file of this machine. Parts come through a file system of ours that cannot write, so what is
published cannot be changed by any statement; results leave by ``stage://0``, which is a function of ours.
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
_READS = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_ONE_READ = (
    "One statement that reads, please: SELECT, FROM, WITH, DESCRIBE, SHOW, SUMMARIZE, PIVOT ... IN, or EXPLAIN of one."
)


class Inspection:
    """An open session; see `open_inspection`."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, parts: PartFileSystem, skipped: tuple[str, ...] = ()
    ) -> None:
        self.skipped = skipped
        """A sentence for each document that cannot be read, and is left out."""
        self._connection = connection
        self._parts = parts

    def table(self, query: str, *, width: int, rows: int) -> str:
        """The answer drawn as a table of at most so many characters and rows, the middle left out.

        Raises InvalidRequest for what cannot be asked, SourceDamaged or StoreError for what cannot be read.
        """
        with self._told():
            statement = self._checked(query)
            if statement.type == duckdb.StatementType.EXPLAIN:
                plans = self._connection.execute(statement).fetchall()
                return "\n".join(plan for _, plan in plans)
            drawn = io.StringIO()
            with redirect_stdout(drawn):
                self._connection.sql(_unended(query)).show(max_width=width, max_rows=rows)
            return drawn.getvalue().strip("\n")

    def check(self, query: str) -> None:
        """Raise InvalidRequest unless it is one statement that reads, and no EXPLAIN."""
        with self._told():
            if self._checked(query).type == duckdb.StatementType.EXPLAIN:
                raise _refused("EXPLAIN is for the table format.")

    def write(self, query: str, format_: Format, forward: Callable[[Chunk], None]) -> tuple[list[Field], int]:
        """Hand the answer to ``forward`` as a file of that format, spelled as exports are.

        Returns its columns and the number of its rows. Raises as `table` does.
        """
        assembler = ArrayAssembler() if format_.name == "json" else FileAssembler()
        sink = OrderedSink(assembler, forward, count=1, max_waiting_bytes=0)
        self._connection.unregister_filesystem(STAGE)
        self._connection.register_filesystem(StageFileSystem(sink))
        self.check(query)
        with self._told(sink):
            unended = _unended(query)
            fields = self._fields(unended)
            written = self._connection.execute(_copy(unended, fields, format_)).fetchone()
            sink.end(0)
            return fields, written[0] if written else 0

    def cancel(self) -> None:
        """Make the query that runs raise Cancelled; from any thread, or a signal."""
        self._connection.interrupt()

    def _fields(self, query: str) -> list[Field]:
        relation = self._connection.sql(query)
        names = [name.lower() for name in relation.columns]
        for name in names:
            if names.count(name) > 1:
                raise _refused(f"Two columns are called {name}: give them names of their own by AS.")
        types = [type_of_duckdb(name, type_) for name, type_ in zip(relation.columns, relation.types, strict=True)]
        return [
            Field(name=name, data_type=data_type_of(type_), type=type_)
            for name, type_ in zip(relation.columns, types, strict=True)
        ]

    def _checked(self, query: str) -> duckdb.Statement:
        """The one statement of a query. DuckDB's fence would stop writes too; this says what would be right."""
        statements = self._connection.extract_statements(_encodable(query))
        if len(statements) != 1 or statements[0].type not in _READS:
            raise _refused(_ONE_READ)
        if statements[0].type == duckdb.StatementType.EXPLAIN:
            # EXPLAIN ANALYZE runs what it explains.
            words = query.split()
            explained = words[2:] if words[1].upper() == "ANALYZE" else words[1:]
            if words[0].upper() != "EXPLAIN" or self._checked(" ".join(explained)).type in _READS[1:]:
                raise _refused(_ONE_READ)
        return statements[0]

    @contextmanager
    def _told(self, sink: OrderedSink | None = None) -> Iterator[None]:
        """DuckDB's errors in one line, and as what they are where it keeps only their text."""
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
                raise SourceDamaged("A part of a run is missing, or was changed after it was published.") from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise LimitExceeded("The query needs more memory than one may take: ask for less at once.") from error
            raise _refused(_sentence(error)) from error


@contextmanager
def open_inspection(
    results: ResultStore, exports: ObjectStore | None, settings: DuckDBSettings
) -> Iterator[Inspection]:
    """A session over what is published now; without ``exports``, the view of that name is empty.

    Documents that are damaged are left out (`Inspection.skipped`). Raises StoreError.
    """
    snapshot = take_snapshot(results, exports)
    parts = PartFileSystem(results.store, snapshot.parts, datetime.now(UTC))
    # A path is allowed only if its file system is known by then; `Inspection.write` puts a sink of its own there.
    nowhere = StageFileSystem(OrderedSink(FileAssembler(), lambda _: None, count=1, max_waiting_bytes=0))
    with open_session(settings, threads=settings.threads, file_systems=(parts, nowhere), locked=False) as connection:
        # Exports need the order of their joins; people's queries need the optimizer's.
        connection.execute("RESET disabled_optimizers")
        create_views(connection, snapshot, _part_url)
        allowed = [_TARGET, *map(_part_url, snapshot.parts)]
        for statement in fence(allowed):
            connection.execute(statement)
        yield Inspection(connection, parts, snapshot.skipped)


def ends(query: str) -> bool:
    """Whether what was typed so far ends with the semicolon of a statement, not with one in a text or a comment."""
    tokens = duckdb.tokenize(query)
    return bool(tokens) and query.encode()[tokens[-1][0] :].lstrip().startswith(b";")


def _copy(query: str, fields: list[Field], format_: Format) -> str:
    cells = ", ".join(f"CAST({identifier(f.name)} AS {f.type.sql()}) AS {identifier(f.name)}" for f in fields)
    options = f"{format_.copy_options}{', HEADER true' if format_ is FORMATS['csv'] else ''}, USE_TMP_FILE false"
    source = f"(SELECT {cells} FROM (\n{query}\n))"  # noqa: S608  # checked to be one that reads
    select = project(tuple(fields), format_, CsvOptions(), source)
    return f"COPY ({select}) TO {literal(_TARGET)} ({options})"


def _part_url(key: str) -> str:
    return f"{PART}://{key}"


def _unended(query: str) -> str:
    """The query without its semicolon, so that it can stand in another."""
    tokens = duckdb.tokenize(query)
    return query.encode()[: tokens[-1][0]].decode() if ends(query) else query


def _encodable(query: str) -> str:
    try:
        query.encode()
    except UnicodeEncodeError:
        raise _refused("The query is not UTF-8.") from None
    return query


def _sentence(error: duckdb.Error) -> str:
    """What DuckDB says, without the line of the query that it draws below."""
    lines = str(error).split("\n\nLINE ")[0].split("\n\nAt:")[0].splitlines()
    return " ".join(line.strip() for line in lines if line.strip()).removeprefix("Invalid Input Error: ")[:500]


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest(reason, parameter="query")
