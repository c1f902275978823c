"""Run a statement in a child process: start it, send it the bytes of parts that it reads, kill it at its timeout."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer

from engine.catalog.catalog import PART_CHANGED, ResultStore
from engine.catalog.manifest import Part, Run
from engine.catalog.schema import Field
from engine.common.cancellation import CancelToken
from engine.errors import InvalidStatement, LimitExceeded, ObjectChanged, ObjectMissing, SourceDamaged
from engine.query.sandbox.fork_server import Child, ForkServer
from engine.query.sandbox.protocol import MAX_READ_BYTES, FrameType, Refusal, receive, send, unpack_read
from engine.query.sandbox.worker import RunTable, StatementColumn, StatementEnd, StatementJob
from engine.request.formats import FORMATS, Format
from engine.request.request import CsvOptions
from engine.request.statement import Params, StatementRequest

TABLE, PREVIOUS = "data", "previous"
"""The names of the rows of the run, and of another run, in a statement."""

MAX_ROWS = 1000
MAX_RESULT_BYTES = 16 * 1024 * 1024
MAX_FILE_BYTES = 8 * 1024 * 1024 * 1024
"""Of an export of a statement's result, before it is compressed: the run does not limit its size."""
_MAX_FRAME_BYTES = MAX_RESULT_BYTES
_TOO_MUCH = (
    "The statement exceeded its memory or time limit; "
    "select fewer rows or columns, or export the run and query it with your own DuckDB."
)
_TOO_DEEP = (
    "The statement works on a value that is nested too deeply, such as JSON with thousands of levels; leave it out."
)

_CSV = CsvOptions()
_FORK_SERVER = ForkServer()

_LIMIT_SIGNALS = frozenset({signal.SIGKILL, signal.SIGXCPU, signal.SIGXFSZ})
"""The kernel's signals at a limit: out of memory, processor time, file size."""


class ChildFailed(Exception):
    """The child failed for a reason other than the statement; the message is for operators."""


class ChildCrashed(ChildFailed):
    """The child died of a signal that is not due to a limit: a fault of DuckDB, or an attack on it."""

    def __init__(self, signal_: signal.Signals) -> None:
        super().__init__(f"the process of a statement died of {signal_.name}")
        self.signal = signal_


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement over one run, or over a run and a ``previous`` one, and the values of its parameters."""

    sql: str
    run: Run
    previous: Run | None = None
    params: Params = field(default_factory=dict)

    @classmethod
    def of(cls, request: StatementRequest, run: Run, previous: Run | None) -> "Statement":
        """The statement of a request over these runs."""
        return cls(request.sql, run, previous, request.params)

    @property
    def runs(self) -> Mapping[str, Run]:
        """The runs that it reads, by the names of their tables."""
        return {TABLE: self.run} | ({} if self.previous is None else {PREVIOUS: self.previous})


@dataclass(frozen=True, slots=True)
class StatementResult:
    """``rows`` are a file of the requested format, with the bytes of an export.

    ``count`` is of rows; ``more``: the statement has more than these.
    """

    columns: tuple[StatementColumn, ...]
    rows: bytes
    count: int
    more: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one statement: DuckDB's memory in MB, threads, and seconds from start to last row."""

    memory_megabytes: int
    threads: int
    seconds: int
    confined: bool = True
    """Refuse to run the statement if the kernel cannot confine its process."""


def prepare() -> None:
    """Wait until the fork server is ready, which takes a second or two the first time.

    Raises OSError if it cannot be started.
    """
    _FORK_SERVER.wait_until_ready()


def run_statement(
    statement: Statement,
    results: ResultStore,
    *,
    limits: Limits,
    max_rows: int,
    cancel: CancelToken,
    format_: Format = FORMATS["json"],
) -> StatementResult:
    """Run a statement and return its rows, at most ``max_rows``.

    Raises InvalidStatement if the statement is not allowed; LimitExceeded, Cancelled, SourceDamaged or StoreError;
    ChildCrashed or ChildFailed if the process fails.
    """
    rows = bytearray()
    job = _job(statement, limits, format_, max_rows=max_rows, max_result_bytes=MAX_RESULT_BYTES)
    end = _run(job, statement, results, cancel, rows.extend)
    return StatementResult(end.columns, bytes(rows), end.rows, end.more)


def write_statement(
    statement: Statement,
    results: ResultStore,
    forward: Callable[[bytes], None],
    *,
    limits: Limits,
    cancel: CancelToken,
    format_: Format,
    csv: CsvOptions,
) -> tuple[tuple[Field, ...], int]:
    """Run a statement and pass a file of all its rows to ``forward``, uncompressed and without a byte order mark.

    Returns the columns and the number of rows. Raises as `run_statement` does; bytes may have been forwarded then.
    """
    job = _job(statement, limits, format_, max_rows=None, max_result_bytes=MAX_FILE_BYTES, csv=csv)
    end = _run(job, statement, results, cancel, forward)
    return tuple(column.field for column in end.columns), end.rows


def _job(
    statement: Statement,
    limits: Limits,
    format_: Format,
    *,
    max_rows: int | None,
    max_result_bytes: int,
    csv: CsvOptions = _CSV,
) -> StatementJob:
    return StatementJob(
        sql=statement.sql,
        params=statement.params,
        tables=tuple(
            RunTable(name=name, table=run.table, parts=run.parts, published_at=run.published_at)
            for name, run in statement.runs.items()
        ),
        format=format_.name,
        csv=csv,
        max_rows=max_rows,
        max_result_bytes=max_result_bytes,
        memory_megabytes=limits.memory_megabytes,
        threads=limits.threads,
        seconds=limits.seconds,
        confined=limits.confined,
    )


def _run(
    job: StatementJob,
    statement: Statement,
    results: ResultStore,
    cancel: CancelToken,
    forward: Callable[[bytes], None],
) -> StatementEnd:
    """Run a job, and pass the bytes of its rows to ``forward``. Raises as `run_statement` does."""
    results.check_parts(*statement.runs.values())
    with _child(job.seconds, cancel) as child:
        try:
            end = _serve(child, job, results, forward)
        except (EOFError, BrokenPipeError) as error:
            cancel.raise_if_cancelled()
            if child.orphaned:
                raise ChildFailed("the fork server ended") from error
            death = child.death()
            if death.stack_overflow:
                raise LimitExceeded(_TOO_DEEP) from None
            if death.signal is not None and death.signal not in _LIMIT_SIGNALS:
                raise ChildCrashed(death.signal) from error
            raise LimitExceeded(_TOO_MUCH) from None
    results.check_parts(*statement.runs.values())
    return end


def _serve(child: Child, job: StatementJob, results: ResultStore, forward: Callable[[bytes], None]) -> StatementEnd:
    send(child.answers, FrameType.STATEMENT, job.model_dump_json(by_alias=True).encode())
    parts = job.parts
    size = 0
    while True:
        kind, body = receive(child.requests, _MAX_FRAME_BYTES)
        match kind:
            case FrameType.READ:
                number, start, length = unpack_read(body)
                send(child.answers, FrameType.BYTES, _read(parts[number], results, start, length))
            case FrameType.ROWS:
                size += len(body)
                if size > job.max_result_bytes:
                    raise LimitExceeded(_TOO_MUCH)
                forward(body)
            case FrameType.END:
                return StatementEnd.model_validate_json(body)
            case FrameType.FAILED:
                raise ChildFailed(body.decode(errors="replace"))
            case FrameType.LIMIT_EXCEEDED:
                raise LimitExceeded(body.decode(errors="replace"))
            case _:
                refusal = Refusal.model_validate_json(body)
                details = {} if refusal.entry is None else {"entry": refusal.entry}
                raise InvalidStatement(refusal.message, parameter=refusal.parameter, **details)


def _read(part: Part, results: ResultStore, start: int, length: int) -> bytes:
    try:
        return results.store.read(part.key, start=start, length=min(length, MAX_READ_BYTES), etag=part.etag)
    except (ObjectMissing, ObjectChanged) as error:
        raise SourceDamaged(PART_CHANGED) from error


@contextmanager
def _child(seconds: int, cancel: CancelToken) -> Iterator[Child]:
    child = _FORK_SERVER.start()
    timer = Timer(seconds, child.kill)
    try:
        timer.start()
        with cancel.calling(child.kill):
            yield child
    finally:
        timer.cancel()
        child.close()
