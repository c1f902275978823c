"""Run a statement in a child process: start it, send it the bytes of parts that it reads, kill it at its timeout."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer

from engine.catalog.catalog import PART_CHANGED, ResultStore
from engine.catalog.manifest import Part, Run
from engine.common.cancellation import CancelToken
from engine.errors import InvalidStatement, LimitExceeded, ObjectChanged, ObjectMissing, SourceDamaged
from engine.query.sandbox.fork_server import Child, ForkServer
from engine.query.sandbox.protocol import MAX_READ_BYTES, FrameType, Refusal, receive, send, unpack_read
from engine.query.sandbox.worker import RunTable, StatementColumn, StatementEnd, StatementJob
from engine.request.formats import FORMATS, Format
from engine.request.statement import Params

TABLE, PREVIOUS = "data", "previous"
"""The names of the rows of the run, and of another run, in a statement."""

MAX_SQL_BYTES = 64 * 1024
MAX_ROWS = 1000
MAX_RESULT_BYTES = 16 * 1024 * 1024
_TOO_MUCH = (
    "The statement exceeded its memory or time limit; "
    "select fewer rows or columns, or export the run and query it with your own DuckDB."
)
_TOO_DEEP = (
    "The statement works on a value that is nested too deeply, such as JSON with thousands of levels; leave it out."
)

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
    """A statement over one run, or over a run and a ``previous`` one, and the values of its parameters.

    Raises InvalidStatement if it is longer than `MAX_SQL_BYTES`.
    """

    sql: str
    run: Run
    previous: Run | None = None
    params: Params = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.sql.encode(errors="replace")) > MAX_SQL_BYTES:
            raise InvalidStatement(f"sql exceeds the maximum of {MAX_SQL_BYTES:,} bytes.")

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
    job = StatementJob(
        sql=statement.sql,
        params=statement.params,
        tables=tuple(
            RunTable(name=name, table=run.table, parts=run.parts, published_at=run.published_at)
            for name, run in statement.runs.items()
        ),
        format=format_.name,
        max_rows=max_rows,
        max_result_bytes=MAX_RESULT_BYTES,
        memory_megabytes=limits.memory_megabytes,
        threads=limits.threads,
        seconds=limits.seconds,
        confined=limits.confined,
    )
    for run in statement.runs.values():
        results.check_parts(run)
    with _child(limits.seconds, cancel) as child:
        try:
            result = _serve(child, job, results)
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
    for run in statement.runs.values():
        results.check_parts(run)
    return result


def _serve(child: Child, job: StatementJob, results: ResultStore) -> StatementResult:
    send(child.answers, FrameType.STATEMENT, job.model_dump_json(by_alias=True).encode())
    parts = job.parts
    rows = bytearray()
    while True:
        kind, body = receive(child.requests, job.max_result_bytes)
        match kind:
            case FrameType.READ:
                number, start, length = unpack_read(body)
                send(child.answers, FrameType.BYTES, _read(parts[number], results, start, length))
            case FrameType.ROWS:
                rows += body
                if len(rows) > job.max_result_bytes:
                    raise LimitExceeded(_TOO_MUCH)
            case FrameType.END:
                end = StatementEnd.model_validate_json(body)
                return StatementResult(end.columns, bytes(rows), end.rows, end.more)
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
