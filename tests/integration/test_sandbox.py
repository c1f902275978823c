"""Callers' SQL: what a statement can and cannot reach, its limits, and that no process outlives it."""

import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from engine.catalog.manifest import Run
from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, InvalidRequest, InvalidStatement, LimitExceeded, SourceDamaged
from engine.query.sandbox import Limits, worker
from engine.query.sandbox.confinement import FILES_AND_HOSTS, SYSTEM_CALLS, check_confinement
from engine.query.sandbox.landlock import Landlock
from engine.query.sandbox.protocol import MAX_READ_BYTES
from engine.request.request import CsvOptions
from engine.stores import ObjectStore
from tests.helpers.engine import Engine
from tests.helpers.statements import ENDLESS, children, rows, until
from tests.helpers.stores import any_store

ROWS = [{"n": n, "text": f"t{n % 3}"} for n in range(5000)]


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore) -> Engine:
    return Engine(tmp_path / "engine", store)


@pytest.fixture
def run(engine: Engine) -> Run:
    return engine.publish_rows(ROWS)


@pytest.fixture(scope="module")
def _confined() -> None:
    if check_confinement().missing:
        pytest.skip("the kernel cannot confine")


def test_a_statement_sees_the_run(engine: Engine, run: Run) -> None:
    found = rows(engine, run, "SELECT text, count(*) AS c, sum(n) AS s FROM data GROUP BY text ORDER BY text;")
    assert found == [
        {"text": f"t{k}", "c": len(range(k, 5000, 3)), "s": sum(range(k, 5000, 3))} for k in range(3)
    ]  # fmt: skip
    assert rows(engine, run, "SELECT n FROM data WHERE _row_id = '000000000042'") == [{"n": 42}]
    assert len(rows(engine, run, "FROM data")) == 100


def test_a_statement_sees_no_other_run(engine: Engine, run: Run) -> None:
    other = engine.publish_rows(ROWS, run="r2")
    for name in (f"part://{other.parts[0].key}", str(engine.store.local_path(other.parts[0].key))):
        for sql in (f"FROM read_parquet('{name}')", f"FROM '{name}'"):
            with pytest.raises(InvalidStatement, match=r"not (allowed|available)"):
                rows(engine, run, sql)


def test_the_service_reads_a_part_in_small_chunks(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["".join(sha256(f"{n}{part}".encode()).hexdigest() for part in "abcd") for n in range(100_000)]
    run = engine.publish(engine.write_parquet(pa.table({"text": texts})))
    (part,) = run.parts
    assert part.bytes > MAX_READ_BYTES
    read, lengths = engine.results.store.read, []

    def reading(key: str, **asked: Any) -> bytes:
        lengths.append(asked.get("length"))
        return read(key, **asked)

    monkeypatch.setattr(engine.results.store, "read", reading)
    assert rows(engine, run, "SELECT count(DISTINCT text) AS n FROM data") == [{"n": len(texts)}]
    assert max(length for length in lengths if length is not None) == MAX_READ_BYTES


REFUSED = (
    "FROM read_text('/proc/self/environ')",
    "FROM '/etc/passwd'",
    "FROM read_parquet('stage://0')",
    "COPY data TO '/tmp/x.csv'",
    "SET enable_external_access=true",
    "SELECT 1; SELECT 2",
    "",
)
"""One of each kind that `test_hostile_statements.py` has without a process."""


@any_store
def test_a_statement_that_does_more_than_read_the_run_is_refused(
    engine: Engine, run: Run, subtests: pytest.Subtests
) -> None:
    for sql in REFUSED:
        with subtests.test(sql):
            with pytest.raises(InvalidStatement) as refused:
                rows(engine, run, sql)
            assert "root:" not in refused.value.message
            assert str(engine.folder) not in refused.value.message
            assert not Path("/tmp/x.csv").exists()


BOMBS = (
    "SELECT length(repeat('x', 4000000000))",
    # DuckDB does not look for an interrupt within one call of a function.
    "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))",
    "SELECT count(*) FROM data a, data b, data c, data d",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "SELECT list(a.n) FROM range(100000000) a(n)",
)


def test_a_bomb_ends_within_its_time(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "bombed")
    run = engine.publish_rows(ROWS)
    for sql in BOMBS:
        started = time.monotonic()
        with pytest.raises(LimitExceeded):
            rows(engine, run, sql, Limits(memory_megabytes=200, threads=1, seconds=1))
        # Much more than its timeout of a second, and much less than the minutes that it would take.
        assert time.monotonic() - started < 15, sql
        assert _no_child_is_left(), sql


_DEEP = "(repeat('[', 100000 + n % 2) || repeat(']', 100000 + n % 2))"
_DEEP_OBJECT = """(repeat('{"a":', 100000 + n % 2) || '1' || repeat('}', 100000 + n % 2))"""


@pytest.mark.parametrize(
    ("expression", "length"),
    [
        (f"json_structure({_DEEP})", lambda levels: len("[]") * levels + len('"NULL"')),
        (f"json_contains({_DEEP_OBJECT}, '1')", lambda _: len("true")),
        (f"json_merge_patch('{{}}', {_DEEP_OBJECT})", lambda levels: len('{"a":}') * levels + len("1")),
        (f"json_transform('1', {_DEEP.replace('n', '1')})", None),
        (f"from_json('1', {_DEEP_OBJECT.replace('n', '1')})", None),
        (f"({_DEEP}::JSON)::VARIANT", None),
    ],
)
def test_a_stack_overflow_in_duckdb_is_a_limit(
    tmp_path: Path, expression: str, length: Callable[[int], int] | None
) -> None:
    """Functions of DuckDB that follow the nesting of their argument without a limit of their own.

    Those with a length are computed by DuckDB 2, whose stack holds these levels.
    """
    engine = Engine(tmp_path / "overflowed")
    run = engine.publish_rows(ROWS[:1])
    for source, n in (("data", 0), ("(SELECT 3 AS n)", 3)):
        sql = f"SELECT length(({expression})::VARCHAR) AS l FROM {source}"
        if length is not None and not duckdb.__version__.startswith("1."):
            assert rows(engine, run, sql) == [{"l": length(100_000 + n % 2)}]
        else:
            with pytest.raises(LimitExceeded, match="nested too deeply"):
                rows(engine, run, sql)
    assert rows(engine, run, "SELECT 1 AS one") == [{"one": 1}]


def test_a_cancelled_statement_is_killed(engine: Engine, run: Run) -> None:
    cancel = CancelToken()
    threading.Timer(0.5, cancel.cancel).start()
    with pytest.raises(Cancelled):
        rows(engine, run, ENDLESS, cancel=cancel)
    assert _no_child_is_left()


@any_store
def test_a_statement_has_a_lower_priority_than_the_service(engine: Engine, run: Run) -> None:
    cancel = CancelToken()
    seen: list[int] = []

    def look() -> None:
        seen.extend(os.getpriority(os.PRIO_PROCESS, child) for child in children())
        cancel.cancel()

    threading.Timer(0.5, look).start()
    with pytest.raises(Cancelled):
        rows(engine, run, ENDLESS, cancel=cancel)
    assert [priority > os.getpriority(os.PRIO_PROCESS, 0) for priority in seen] == [True]


def test_a_part_that_changed_is_not_read(engine: Engine, run: Run) -> None:
    part = run.parts[0]
    damaged = run.model_copy(update={"parts": (part.model_copy(update={"etag": '"other"'}),)})
    with pytest.raises(SourceDamaged):
        rows(engine, damaged, "SELECT sum(n) FROM data")


ESCAPES = """
import ctypes, encodings.idna, os, signal, socket, sys, threading
from engine.query.sandbox.confinement import confine
other = os.fork()
if other == 0:
    os.close(1)
    signal.pause()
listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0tailrace-test-" + str(os.getpid()))
listener.listen()
libc = ctypes.CDLL(None, use_errno=True)
if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

def connected(family, kind, address):
    with socket.socket(family, kind) as other_side:
        other_side.connect(address)

def called(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

attempts = [
    lambda: open(sys.argv[1]).read(),
    lambda: open("/etc/passwd").read(),
    lambda: open(sys.argv[1] + "new", "w"),
    lambda: os.listdir("/"),
    lambda: os.chmod(sys.argv[1], 0o777),
    lambda: os.remove(sys.argv[1]),
    lambda: os.rename(sys.argv[1], sys.argv[1] + "moved"),
    lambda: os.mkdir(sys.argv[1] + "folder"),
    lambda: os.symlink("/", sys.argv[1] + "link"),
    lambda: os.truncate(sys.argv[1], 0),
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: socket.socket().bind(("127.0.0.1", 0)),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, listener.getsockname()),
    lambda: socket.socketpair(),
    lambda: os.kill(other, 0),
    lambda: os.kill(os.getppid(), signal.SIGTERM),
    lambda: signal.pidfd_send_signal(pidfd, 0),
    lambda: os.fork(),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
    lambda: os.setuid(0),
    lambda: os.chroot("/"),
    lambda: os.memfd_create("code"),
    lambda: os.setpriority(os.PRIO_PROCESS, other, 0),
    lambda: called(165, b"x", b"/", b"tmpfs", 0, None),
]
pidfd = os.pidfd_open(other)
missing = confine(memory_bytes=4_000_000_000, cpu_seconds=10)
reached = []
for number, attempt in enumerate(attempts):
    try:
        attempt()
        reached.append(number)
    except PermissionError:
        pass
try:
    bytearray(8_000_000_000)
    reached.append("memory")
except MemoryError:
    pass
started = threading.Thread(target=print, args=["a thread runs"])
started.start()
started.join()
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
capabilities = {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")}
print(list(missing), reached, len(attempts), os.geteuid() == 0, capabilities)
"""


@pytest.mark.usefixtures("_confined")
@pytest.mark.parametrize("user", ["its own", "another"])
def test_a_confined_process_reaches_nothing(tmp_path: Path, user: str) -> None:
    """Confinement by the kernel alone, without DuckDB: native code in a child can do no more than this."""
    if user == "another" and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    secret.chmod(0o666)
    other_user = ["another"] if user == "another" else []
    with subprocess.Popen(
        [sys.executable, "-c", ESCAPES, str(secret), *other_user],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        os.killpg(process.pid, signal.SIGKILL)
    assert lines == ["a thread runs\n", "[] [] 26 False {0}\n"]
    assert secret.read_text() == "secret"
    assert list(tmp_path.iterdir()) == [secret]


@pytest.mark.usefixtures("_confined")
@pytest.mark.parametrize(
    "attempt", ['os.execv("/bin/true", ["true"])', "ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)"]
)
def test_a_call_that_only_an_attacker_makes_kills_the_process(attempt: str) -> None:
    script = f"""
import ctypes, os
from engine.query.sandbox.confinement import confine
confine(memory_bytes=4_000_000_000, cpu_seconds=10)
{attempt}
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGSYS, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("capability", [None, 6, 7], ids=["all", "without CAP_SETGID", "without CAP_SETUID"])
def test_root_that_may_not_become_another_user_is_reported(capability: int | None) -> None:
    script = f"""
import ctypes, os, sys
if {capability} is not None:
    ctypes.CDLL(None).prctl(24, {capability}, 0, 0, 0)
check = "from engine.query.sandbox.confinement import check_confinement; print(check_confinement().stays_root)"
os.execv(sys.executable, [sys.executable, "-c", check])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{capability == 7}\n"


class _Kernel:
    """A libc for a kernel with a version of Landlock; it records whether a process was restricted."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.restricted = False
        self.rules = b""

    def syscall(self, number: int, *arguments: Any) -> int:
        if number == 444 and arguments[0] is None:
            return self.version
        if number == 444:
            self.rules = arguments[0]
            return os.open("/", os.O_RDONLY)
        self.restricted |= number == 446
        return 0


RIGHTS: dict[int, tuple[int, ...]] = {
    -1: (), 0: (), 1: (0x1FFF,), 2: (0x3FFF,), 3: (0x7FFF,), 4: (0x7FFF, 3), 5: (0xFFFF, 3), 6: (0xFFFF, 3, 3),
    7: (0xFFFF, 3, 3), 8: (0xFFFF, 3, 3),
}  # fmt: skip
"""Rights for files, TCP and scopes by version, from the kernel's documentation of Landlock."""


@pytest.mark.parametrize(("version", "enough"), [(version, version >= 4) for version in RIGHTS])
def test_a_kernel_without_tcp_rules_is_reported_as_missing_confinement(
    monkeypatch: pytest.MonkeyPatch, version: int, enough: bool
) -> None:
    kernel = _Kernel(version)
    monkeypatch.setattr("engine.query.sandbox.landlock.ctypes.CDLL", lambda *_, **__: kernel)
    assert Landlock(["/usr/lib"]).enforce() is enough
    # An older kernel still restricts what it can: files only, files and TCP, or signals and sockets as well.
    assert kernel.restricted is (version > 0)
    assert struct.unpack(f"<{len(kernel.rules) // 8}Q", kernel.rules) == RIGHTS[version]


def test_the_process_cannot_start_processes_or_threads(tmp_path: Path) -> None:
    """Running threads go on, including DuckDB's. The limit has no effect for root."""
    script = """
import os, threading
import duckdb
from engine.query.sandbox.confinement import forbid_new_processes
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
connection = duckdb.connect(config={"threads": 2})
forbid_new_processes()
print(connection.execute("SELECT count(*) FROM range(1000000) a, range(100) b WHERE a.range = b.range").fetchone())
for attempt in (os.fork, threading.Thread(target=print).start):
    try:
        print("STARTED", attempt())
    except (BlockingIOError, RuntimeError) as error:
        print(type(error).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n") == ["(100,)", "BlockingIOError", "RuntimeError", ""], done.stdout


@any_store
def test_missing_confinement_is_named_and_refused(engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the setting `limited` runs statements without it."""
    script = """
from engine.query.sandbox import confinement, landlock
landlock.Landlock.enforce = lambda self: False
confinement.filter_system_calls = lambda: False
print(confinement.confine(memory_bytes=4_000_000_000, cpu_seconds=10))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{(FILES_AND_HOSTS, SYSTEM_CALLS)}\n"
    job = worker.StatementJob(
        sql="SELECT 1 AS one", params={}, tables=(), format="json", csv=CsvOptions(), max_rows=1,
        max_result_bytes=1000, memory_megabytes=200, threads=1, seconds=5, confined=True,
    )  # fmt: skip
    monkeypatch.setattr(worker, "confine", lambda **_: (SYSTEM_CALLS,))
    with pytest.raises(InvalidRequest, match="cannot confine"):
        worker.run(job, io.BytesIO(), io.BytesIO())


def _no_child_is_left() -> bool:
    # The fork server kills a child asynchronously.
    return until(lambda: not children())
