"""The child: it takes one job, is confined, runs one statement, and writes its rows."""

from collections.abc import Mapping
from datetime import datetime
from threading import Lock
from typing import IO

import duckdb
from pydantic import BaseModel

from engine.catalog.manifest import Part
from engine.catalog.schema import ROW_ID, Schema
from engine.common.chunk import Chunk
from engine.common.quoting import identifier, literal
from engine.common.redaction import redacted_traceback
from engine.common.table_functions import read_parquet
from engine.errors import EngineError, InvalidRequest, LimitExceeded
from engine.execute.file_assembler import FileAssembler
from engine.execute.filesystems import PART, STAGE, PartFileSystem, StageFileSystem
from engine.execute.ordered_sink import OrderedSink
from engine.execute.session import FENCE, fence
from engine.query.inspect.session import Inspection
from engine.query.sandbox.confinement import confine, start_no_more
from engine.query.sandbox.protocol import MOST_READ_BYTES, Kind, pack_read, receive, send
from engine.query.sandbox.statement_check import STORAGE_VERSION, check_statement
from engine.request.formats import FORMATS

VIEW = "data"
"""What the rows of the run are called."""

_ROOM_BYTES, _ROOM_BYTES_PER_THREAD = 300_000_000, 100_000_000


class Job(BaseModel):
    """One statement, the run that it is about, and what it may take."""

    sql: str
    table: Schema
    parts: tuple[Part, ...]
    published_at: datetime
    most_rows: int
    most_bytes: int
    memory_megabytes: int
    threads: int
    seconds: int
    confined: bool


class Told(BaseModel):
    """The end of a statement that ran: its columns and how many rows were sent."""

    columns: tuple[tuple[str, str], ...]
    rows: int


class _Pipe:
    """The parts of the run as the parent hands them out: an object store's `read` and nothing else of it."""

    def __init__(self, parts: tuple[Part, ...], requests: IO[bytes], answers: IO[bytes]) -> None:
        self._numbers: Mapping[str, int] = {part.key: number for number, part in enumerate(parts)}
        self._requests = requests
        self._answers = answers
        self._lock = Lock()

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Bytes of a part."""
        # The parent pins the version.
        del etag
        number, end = self._numbers[key], start + (length or 0)
        with self._lock:
            pieces = [self._piece(number, at, end) for at in range(start, end, MOST_READ_BYTES)]
        return b"".join(pieces)

    def _piece(self, number: int, start: int, end: int) -> bytes:
        send(self._requests, Kind.READ, pack_read(number, start, min(end - start, MOST_READ_BYTES)))
        return receive(self._answers)[1]


def run(job: Job, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Run the job's statement and send what came of it."""
    missing = confine(
        memory_bytes=job.memory_megabytes * 1_000_000 + room_bytes(job.threads),
        cpu_seconds=job.seconds * job.threads + 1,
    )
    if job.confined and missing:
        raise InvalidRequest("SQL is not served here: the kernel cannot confine it. Use filters.", parameter="sql")
    size = 0

    def forward(data: Chunk) -> None:
        nonlocal size
        size += len(data)
        if size > job.most_bytes:
            raise LimitExceeded(f"The answer is larger than {job.most_bytes} bytes: ask for less of it, or export.")
        send(requests, Kind.ROWS, data)

    parts = PartFileSystem(
        _Pipe(job.parts, requests, answers),
        {part.key: part for part in job.parts},
        job.published_at,
    )
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": job.threads,
        "memory_limit": f"{job.memory_megabytes}MB",
        "temp_directory": "",
        "python_enable_replacements": False,
        # Nothing is stored: the check asks for trees in which nothing is left out.
        "storage_compatibility_version": STORAGE_VERSION,
    }
    with duckdb.connect(config=config) as connection:
        # Its threads run by now.
        start_no_more()
        # A path is allowed only if its file system is known by then; `Inspection.write` puts a sink of its own there.
        nowhere = OrderedSink(FileAssembler(), lambda _: None, count=1, max_waiting_bytes=0)
        connection.register_filesystem(parts)
        connection.register_filesystem(StageFileSystem(nowhere))
        for statement in FENCE:
            connection.execute(statement)
        connection.execute("RESET disabled_optimizers")
        connection.execute(f"CREATE VIEW {VIEW} AS {_select(job)}")
        for statement in fence([f"{STAGE}://0", *(f"{PART}://{part.key}" for part in job.parts)]):
            connection.execute(statement)
        check_statement(connection, job.sql, VIEW)
        inspection = Inspection(connection, parts)
        # The text that was checked, parsed by the same parser; what query() binds can only read, whatever it is.
        limited = f"FROM query({literal(job.sql)}) LIMIT {job.most_rows}"
        fields, rows = inspection.write(limited, FORMATS["json"], forward)
    told = Told(columns=tuple((field.name, field.data_type) for field in fields), rows=rows)
    send(requests, Kind.END, told.model_dump_json().encode())


def room_bytes(threads: int) -> int:
    """What a process may take beside DuckDB's memory: the interpreter, code, and each thread's stack and heap.

    Addresses, of which memory is a part: a statement that takes little has 230 MB of them with one thread, and each
    further thread 50 to 100 MB.
    """
    return _ROOM_BYTES + _ROOM_BYTES_PER_THREAD * threads


def _select(job: Job) -> str:
    fields = [field for field in job.table if not field.internal or field.name == ROW_ID]
    if not job.parts:
        nulls = ", ".join(f"CAST(NULL AS {field.type.sql()}) AS {identifier(field.name)}" for field in fields)
        return f"SELECT {nulls} WHERE FALSE"
    names = ", ".join(identifier(field.name) for field in fields)
    paths = ", ".join(literal(f"{PART}://{part.key}") for part in job.parts)
    return f"SELECT {names} FROM {read_parquet(f'[{paths}]')}"  # noqa: S608  # quoted


def serve(answers: IO[bytes], requests: IO[bytes]) -> None:
    """Serve one job: ``answers`` is what is read, ``requests`` what is written."""
    try:
        _, body = receive(answers)
        run(Job.model_validate_json(body), requests, answers)
    except LimitExceeded as error:
        send(requests, Kind.TOO_MUCH, error.message.encode())
    except EngineError as error:
        send(requests, Kind.REFUSED, error.message.encode())
    except MemoryError:
        send(requests, Kind.TOO_MUCH, b"The statement needs more memory than one may take: ask for less at once.")
    except Exception as error:  # noqa: BLE001  # whatever it is, our log gets it, and no value of a row with it
        send(requests, Kind.BROKEN, redacted_traceback(error).encode())
