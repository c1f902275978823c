"""The child process: read one job, confine the process, run its statement and send the rows."""

from collections.abc import Mapping
from datetime import datetime
from threading import Lock
from typing import IO

import duckdb
from pydantic import BaseModel

from engine.catalog.manifest import Part
from engine.catalog.schema import ROW_ID, Field, Schema
from engine.common.chunk import Chunk
from engine.common.duckdb_versions import READING_THREADS
from engine.common.quoting import identifier, literal
from engine.common.redaction import redacted_traceback
from engine.common.table_functions import read_parquet
from engine.errors import EngineError, InvalidRequest, InvalidStatement, LimitExceeded
from engine.execute.file_assembler import FileAssembler
from engine.execute.filesystems import PART, STAGE, PartFileSystem, StageFileSystem
from engine.execute.ordered_sink import OrderedSink
from engine.execute.session import FENCE, QUERY_OPTIMIZERS, fence
from engine.query.inspect.session import Inspection, within
from engine.query.inspect.statements import split
from engine.query.sandbox.confinement import confine, forbid_new_processes
from engine.query.sandbox.protocol import MAX_READ_BYTES, FrameType, Refusal, pack_read, receive, send
from engine.query.sandbox.statement_check import STORAGE_VERSION, check_statement
from engine.request.formats import FORMATS
from engine.request.request import CsvOptions
from engine.request.statement import ParamValue

_OUT_OF_MEMORY = "The statement exceeds the memory limit; select fewer rows or columns."
_OVERHEAD_BYTES, _OVERHEAD_BYTES_PER_THREAD = 300_000_000, 100_000_000


class RunTable(BaseModel):
    """The rows of a run as a table of a statement."""

    name: str
    table: Schema
    parts: tuple[Part, ...]
    published_at: datetime


class StatementJob(BaseModel):
    """One statement, its runs and its limits (`engine.query.sandbox.client.Limits`)."""

    sql: str
    params: Mapping[str, ParamValue]
    tables: tuple[RunTable, ...]
    format: str
    csv: CsvOptions
    max_rows: int | None
    """Only the first rows are wanted; None for all of them."""
    max_result_bytes: int
    memory_megabytes: int
    threads: int
    seconds: int
    confined: bool

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of all tables, by whose numbers the child asks for their bytes."""
        return tuple(part for table in self.tables for part in table.parts)


class StatementColumn(BaseModel):
    """A column of a result: the field as which it would be stored, and DuckDB's type of it."""

    field: Field
    duckdb_type: str


class StatementEnd(BaseModel):
    """The last frame of a successful statement: what `engine.query.sandbox.client.StatementResult` has but the rows."""

    columns: tuple[StatementColumn, ...]
    rows: int
    more: bool


class _PartReader:
    """Reads parts from the parent: the `read` of an object store, and nothing else of it."""

    def __init__(self, parts: tuple[Part, ...], requests: IO[bytes], answers: IO[bytes], lock: Lock) -> None:
        self._numbers: Mapping[str, int] = {part.key: number for number, part in enumerate(parts)}
        self._requests = requests
        self._answers = answers
        self._lock = lock

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Bytes of a part."""
        # The parent checks the version.
        del etag
        number, end = self._numbers[key], start + (length or 0)
        with self._lock:
            chunks = [self._chunk(number, at, end) for at in range(start, end, MAX_READ_BYTES)]
        return b"".join(chunks)

    def _chunk(self, number: int, start: int, end: int) -> bytes:
        send(self._requests, FrameType.READ, pack_read(number, start, min(end - start, MAX_READ_BYTES)))
        return receive(self._answers)[1]


def run(job: StatementJob, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Confine this process for good, run the statement and send its rows and END.

    Raises InvalidRequest, InvalidStatement or LimitExceeded.
    """
    missing = confine(
        memory_bytes=job.memory_megabytes * 1_000_000 + overhead_bytes(job.threads),
        cpu_seconds=job.seconds * job.threads + 1,
    )
    if job.confined and missing:
        raise InvalidRequest(
            "SQL is not available here, since this kernel cannot confine it; use filters.", parameter="sql"
        )
    size = 0
    # DuckDB's threads read parts while another one writes rows, and each frame has to arrive in one piece.
    lock = Lock()

    def forward(data: Chunk) -> None:
        nonlocal size
        size += len(data)
        if size > job.max_result_bytes:
            raise LimitExceeded(
                f"The result exceeds the maximum of {job.max_result_bytes:,} bytes; "
                "select fewer rows or columns, or export the run."
            )
        with lock:
            send(requests, FrameType.ROWS, data)

    parts = PartFileSystem(
        _PartReader(job.parts, requests, answers, lock),
        {part.key: part for part in job.parts},
        max(table.published_at for table in job.tables),
    )
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": job.threads,
        **READING_THREADS,
        "memory_limit": f"{job.memory_megabytes}MB",
        "temp_directory": "",
        "python_enable_replacements": False,
        # Nothing is stored; `check_statement` requires a complete tree.
        "storage_compatibility_version": STORAGE_VERSION,
    }
    with duckdb.connect(config=config) as connection:
        # DuckDB's threads are running by now.
        forbid_new_processes()
        # A path can be allowed only if its file system is registered; `Inspection.write` replaces the second one.
        unused = OrderedSink(FileAssembler(), lambda _: None, count=1, max_waiting_bytes=0)
        connection.register_filesystem(parts)
        connection.register_filesystem(StageFileSystem(unused))
        for statement in FENCE:
            connection.execute(statement)
        connection.execute(QUERY_OPTIMIZERS)
        # `x -> x + 1` is a lambda by default in DuckDB 1.5, but not in 2.0.
        connection.execute("SET lambda_syntax='ENABLE_SINGLE_ARROW'")
        for table in job.tables:
            connection.execute(f"CREATE VIEW {table.name} AS {_select(table)}")
        for statement in fence([f"{STAGE}://0", *(f"{PART}://{part.key}" for part in job.parts)]):
            connection.execute(statement)
        sql, values = _checked(connection, job)
        inspection = Inspection(connection, parts)
        found = inspection.columns(sql, values)
        if job.max_rows is None:
            rows, more = inspection.write(sql, FORMATS[job.format], forward, values, job.csv)[1], False
        else:
            rows, more = inspection.write_first(sql, job.max_rows, FORMATS[job.format], forward, values)
    columns = tuple(StatementColumn(field=field, duckdb_type=type_) for field, type_ in found)
    end = StatementEnd(columns=columns, rows=rows, more=more)
    send(requests, FrameType.END, end.model_dump_json().encode())


def overhead_bytes(threads: int) -> int:
    """Address space of a process beyond DuckDB's memory: the interpreter, code, and each thread's stack and heap.

    Measured for a small statement: 230 MB with one thread, and 50 to 100 MB for each further thread.
    """
    return _OVERHEAD_BYTES + _OVERHEAD_BYTES_PER_THREAD * threads


def _checked(connection: duckdb.DuckDBPyConnection, job: StatementJob) -> tuple[str, dict[str, object]]:
    """The statement without a semicolon, and the values of its parameters. Raises InvalidStatement."""
    tables = [table.name for table in job.tables]
    names = check_statement(connection, job.sql, tables, job.params)
    (sql,) = split(job.sql)
    # What runs has the statement in parentheses.
    check_statement(connection, within(sql), tables, job.params)
    return sql, {names[name]: param.value for name, param in job.params.items()}


def _select(table: RunTable) -> str:
    fields = [field for field in table.table if not field.internal or field.name == ROW_ID]
    if not table.parts:
        nulls = ", ".join(f"CAST(NULL AS {field.type.sql()}) AS {identifier(field.name)}" for field in fields)
        return f"SELECT {nulls} WHERE FALSE"
    names = ", ".join(identifier(field.name) for field in fields)
    paths = ", ".join(literal(f"{PART}://{part.key}") for part in table.parts)
    return f"SELECT {names} FROM {read_parquet(f'[{paths}]')}"  # noqa: S608  # quoted


def serve(answers: IO[bytes], requests: IO[bytes]) -> None:
    """Run one job that is read from ``answers``, and write everything to ``requests``, errors included."""
    try:
        _, body = receive(answers)
        run(StatementJob.model_validate_json(body), requests, answers)
    except LimitExceeded as error:
        send(requests, FrameType.LIMIT_EXCEEDED, error.message.encode())
    except EngineError as error:
        # Otherwise the parameter is that of an operator's query.
        named = isinstance(error, InvalidStatement) or error.details.get("parameter") == "format"
        details = error.details if named else {}
        send(requests, FrameType.REFUSED, Refusal(message=error.message, **details).model_dump_json().encode())
    except MemoryError:
        send(requests, FrameType.LIMIT_EXCEEDED, _OUT_OF_MEMORY.encode())
    except Exception as error:  # noqa: BLE001  # logged by the parent, without values of rows
        send(requests, FrameType.FAILED, redacted_traceback(error).encode())
