"""The parent: it starts the child, hands it the bytes of parts, and kills it when its time is up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer

from engine.catalog.catalog import PART_CHANGED, ResultStore
from engine.catalog.manifest import Run
from engine.common.cancellation import CancelToken
from engine.errors import InvalidStatement, LimitExceeded, ObjectChanged, ObjectMissing, SourceDamaged
from engine.query.sandbox.fork_server import Child, ForkServer
from engine.query.sandbox.protocol import MOST_READ_BYTES, Kind, receive, send, unpack_read
from engine.query.sandbox.worker import Job, Told

LONGEST_SQL_BYTES = 64 * 1024
MOST_ROWS = 1000
MOST_BYTES = 16 * 1024 * 1024
_TOO_MUCH = (
    "The statement took more memory or time than one may take, and was ended: "
    "ask for fewer rows or columns at once, or export the run and ask your own DuckDB."
)

_FORKS = ForkServer()


_LIMIT_SIGNALS = frozenset({signal.SIGKILL, signal.SIGXCPU, signal.SIGXFSZ})
"""What the kernel sends when a limit of ours is reached: processor time, the machine's memory, the size of a file."""


class ChildFailed(Exception):
    """The child broke down; the text is for operators."""


class ChildCrashed(ChildFailed):
    """The child died of a signal that no limit of ours sent: a fault of DuckDB, or an attack on it."""

    def __init__(self, signal_: signal.Signals) -> None:
        super().__init__(f"the process of a statement died of {signal_.name}")
        self.signal = signal_


@dataclass(frozen=True, slots=True)
class Answer:
    """``rows`` is a JSON array as an export would spell it; ``columns`` are names and field types."""

    columns: tuple[tuple[str, str], ...]
    rows: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may take: MB of DuckDB's memory, threads, seconds from the start to the last row."""

    memory_megabytes: int
    threads: int
    seconds: int
    confined: bool = True
    """Whether a kernel that cannot confine is a reason to refuse."""


def prepare() -> None:
    """Wait until a statement's process can be forked at once: the first time takes a second or two.

    Raises OSError if there can be none.
    """
    _FORKS.ready()


def ask(sql: str, run: Run, results: ResultStore, *, limits: Limits, most_rows: int, cancel: CancelToken) -> Answer:
    """The rows that a statement finds in a run, at most so many of them.

    Raises InvalidStatement for what is not allowed, LimitExceeded, Cancelled, SourceDamaged or StoreError;
    ChildCrashed or ChildFailed if the process broke down.
    """
    if len(sql.encode(errors="replace")) > LONGEST_SQL_BYTES:
        raise InvalidStatement(f"sql is longer than {LONGEST_SQL_BYTES} bytes.")
    job = Job(
        sql=sql,
        table=run.table,
        parts=run.parts,
        published_at=run.published_at,
        most_rows=most_rows,
        most_bytes=MOST_BYTES,
        memory_megabytes=limits.memory_megabytes,
        threads=limits.threads,
        seconds=limits.seconds,
        confined=limits.confined,
    )
    results.check_parts(run)
    with _child(limits.seconds, cancel) as child:
        try:
            answer = _serve(child, job, run, results)
        except (EOFError, BrokenPipeError) as error:
            cancel.raise_if_cancelled()
            if child.orphaned:
                raise ChildFailed("the process that forks the statements' ended") from error
            died_of = child.death_signal()
            if died_of is not None and died_of not in _LIMIT_SIGNALS:
                raise ChildCrashed(died_of) from error
            raise LimitExceeded(_TOO_MUCH) from None
    results.check_parts(run)
    return answer


def _serve(child: Child, job: Job, run: Run, results: ResultStore) -> Answer:
    send(child.answers, Kind.JOB, job.model_dump_json(by_alias=True).encode())
    rows = bytearray()
    while True:
        kind, body = receive(child.requests, job.most_bytes)
        match kind:
            case Kind.READ:
                number, start, length = unpack_read(body)
                send(child.answers, Kind.BYTES, _read(run, results, number, start, length))
            case Kind.ROWS:
                rows += body
                if len(rows) > job.most_bytes:
                    raise LimitExceeded(_TOO_MUCH)
            case Kind.END:
                told = Told.model_validate_json(body)
                return Answer(told.columns, bytes(rows), told.rows)
            case Kind.BROKEN:
                raise ChildFailed(body.decode(errors="replace"))
            case Kind.TOO_MUCH:
                raise LimitExceeded(body.decode(errors="replace"))
            case _:
                raise InvalidStatement(body.decode(errors="replace"))


def _read(run: Run, results: ResultStore, number: int, start: int, length: int) -> bytes:
    part = run.parts[number]
    try:
        return results.store.read(part.key, start=start, length=min(length, MOST_READ_BYTES), etag=part.etag)
    except (ObjectMissing, ObjectChanged) as error:
        raise SourceDamaged(PART_CHANGED) from error


@contextmanager
def _child(seconds: int, cancel: CancelToken) -> Iterator[Child]:
    child = _FORKS.start()
    timer = Timer(seconds, child.kill)
    try:
        timer.start()
        with cancel.calling(child.kill):
            yield child
    finally:
        timer.cancel()
        child.close()
