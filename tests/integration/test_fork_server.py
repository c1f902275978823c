"""The fork server: what its children can see, and what happens when a child or the server ends."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.catalog.manifest import Run
from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, LimitExceeded
from engine.query.sandbox.client import ChildCrashed, ChildFailed
from engine.query.sandbox.fork_server import ForkServer
from engine.query.sandbox.protocol import FrameType, receive, send
from engine.stores import ObjectStore, open_store
from tests.helpers.engine import Engine
from tests.helpers.statements import ENDLESS, children, end_statement, rows, started_by, until
from tests.helpers.stores import any_store

ROWS = [{"n": n} for n in range(50)]


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore) -> Engine:
    return Engine(tmp_path / "engine", store)


@pytest.fixture
def run(engine: Engine) -> Run:
    return engine.publish_rows(ROWS)


def servers() -> set[int]:
    """The fork servers of this process."""
    return set(started_by(os.getpid(), "engine.query.sandbox.fork_server"))


@any_store
def test_a_child_has_no_credentials(engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "a-secret")
    monkeypatch.setenv("TAILRACE_SIGNING_KEYS", "k1=another-secret")
    before = servers()
    forks = ForkServer()
    monkeypatch.setattr("engine.query.sandbox.client._FORK_SERVER", forks)
    seen: list[str] = []

    cancel = CancelToken()

    def look() -> None:
        while not children():
            time.sleep(0.01)
        # Of the fork server: the child's own environment is not readable.
        seen.extend(Path(f"/proc/{server}/environ").read_text() for server in servers() - before)
        cancel.cancel()

    threading.Thread(target=look).start()
    with pytest.raises(Cancelled):
        rows(engine, run, ENDLESS, cancel=cancel)
    forks.close()
    assert len(seen) == 1
    assert "PYTHONPATH" in seen[0]
    assert "secret" not in seen[0]


@any_store
def test_a_fork_server_that_was_killed_is_started_again(
    engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    forks = ForkServer()
    monkeypatch.setattr("engine.query.sandbox.client._FORK_SERVER", forks)
    assert rows(engine, run, "SELECT 1 AS one") == [{"one": 1}]
    before = servers()

    def end() -> None:
        for server in before:
            os.kill(server, signal.SIGKILL)

    threading.Timer(0.5, end).start()
    # Its children end with it, which is not reported as a limit.
    with pytest.raises(ChildFailed, match="the fork server ended"):
        rows(engine, run, ENDLESS)
    assert rows(engine, run, "SELECT 2 AS two") == [{"two": 2}]
    after = servers()
    assert len(after - before) == 1
    forks.close()
    assert not after & servers()


@any_store
def test_only_a_crash_is_reported_as_a_crash(engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    forks = ForkServer()
    monkeypatch.setattr("engine.query.sandbox.client._FORK_SERVER", forks)
    for died_of in (signal.SIGSEGV, signal.SIGSYS, signal.SIGBUS, signal.SIGILL, signal.SIGABRT):
        with pytest.raises(ChildCrashed, match=died_of.name) as crashed:
            _rows_while_it_dies(engine, run, died_of)
        assert crashed.value.signal is died_of
    # What the kernel does at a limit.
    for died_of in (signal.SIGKILL, signal.SIGXCPU):
        with pytest.raises(LimitExceeded):
            _rows_while_it_dies(engine, run, died_of)
    assert rows(engine, run, "SELECT 2 AS two") == [{"two": 2}]
    forks.close()


def test_a_killed_child_has_no_death_signal() -> None:
    forks = ForkServer()
    child = forks.start()
    child.kill()
    assert child.death().signal is None
    child.close()
    forks.close()


def _rows_while_it_dies(engine: Engine, run: Run, died_of: signal.Signals) -> None:
    """Run an endless statement and send its process a signal."""
    ending = threading.Thread(target=end_statement, args=[died_of])
    ending.start()
    try:
        rows(engine, run, ENDLESS)
    finally:
        ending.join()


def test_a_failing_child_reports_no_value() -> None:
    forks = ForkServer()
    child = forks.start()
    send(child.answers, FrameType.STATEMENT, json.dumps({"sql": ["a cell of a row"]}).encode())
    kind, told = receive(child.requests)
    child.close()
    forks.close()
    assert kind is FrameType.FAILED
    assert b"ValidationError" in told
    assert b"a cell" not in told


def test_the_fork_server_imports_everything_before_it_forks() -> None:
    """So a statement's timeout does not include the start of an interpreter."""
    others = servers()
    forks = ForkServer()
    child = forks.start()
    (server,) = servers() - others
    loaded = Path(f"/proc/{server}/maps").read_text()
    child.close()
    forks.close()
    assert "_duckdb" in loaded


def test_a_fork_server_that_fails_to_start_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o700)
    forks = ForkServer()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(broken))
        with pytest.raises(ConnectionError, match="before it was ready"):
            forks.start()
    assert not forks.alive
    child = forks.start()
    send(child.answers, FrameType.READ)
    assert receive(child.requests)[0] is FrameType.FAILED
    child.close()
    forks.close()


def test_ctrl_c_does_not_reach_a_starting_server() -> None:
    command = (
        "import os, signal; signal.signal(signal.SIGINT, lambda *_: None); "
        "from engine.query.sandbox import prepare; prepare(); "
        # The interpreter gives the signal its default action before it ends.
        "os._exit(0)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", command],
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stderr is not None
        assert until(lambda: bool(started_by(parent.pid, "fork_server import main")))
        while parent.poll() is None:
            os.killpg(parent.pid, signal.SIGINT)
            time.sleep(0.02)
        assert (parent.returncode, parent.stderr.read()) == (0, b"")


def test_killing_a_child_does_not_wait_for_a_starting_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The caller may be an event loop."""
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 25\n")
    slow.chmod(0o700)
    others = servers()
    forks = ForkServer()
    child = forks.start()
    (server,) = servers() - others
    os.kill(server, signal.SIGKILL)
    assert until(lambda: not forks.alive)
    failed: list[Exception] = []

    def start() -> None:
        try:
            forks.start()
        except OSError as error:
            failed.append(error)

    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(slow))
        starting = threading.Thread(target=start)
        starting.start()
        assert until(lambda: len(started_by(os.getpid(), "sleep")) == 1)
        child.close()
        assert starting.is_alive()
        (waited_for,) = started_by(os.getpid(), "sleep")
        os.kill(waited_for, signal.SIGKILL)
        starting.join(20)
    assert [str(error) for error in failed] == ["the fork server ended before it was ready"]
    forks.close()


def test_threads_that_wait_for_a_failing_start_wait_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = tmp_path / "started"
    slow = tmp_path / "python"
    slow.write_text(f"#!/bin/sh\necho >> {started}\nexec sleep 25\n")
    slow.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(slow))
    forks = ForkServer()
    failed: list[Exception] = []

    def ready() -> None:
        try:
            forks.wait_until_ready()
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=ready) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert until(lambda: len(started_by(os.getpid(), "sleep")) == 1)
    time.sleep(0.5)
    (waited_for,) = started_by(os.getpid(), "sleep")
    os.kill(waited_for, signal.SIGKILL)
    for thread in threads:
        thread.join(20)
    assert len(failed) == 3
    assert started.read_text() == "\n"


def test_children_have_no_pipes_of_other_children() -> None:
    """Otherwise one statement could read or write the data of another."""
    forks = ForkServer()
    started = [forks.start() for _ in range(3)]
    deadline = time.monotonic() + 20
    held: list[set[str]] = []
    while [len(one) for one in held] != [2, 2, 2] and time.monotonic() < deadline:
        time.sleep(0.02)
        held = [_pipes(pid) for pid in children()]
    for child in started:
        child.close()
    forks.close()
    assert [len(one) for one in held] == [2, 2, 2]
    assert len(set().union(*held)) == 6


def test_the_fork_server_has_one_thread() -> None:
    """A lock that another thread holds during a fork is never released in the child."""
    forks = ForkServer()
    child = forks.start()
    threads = [len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in started_by(os.getpid(), "fork_server")]
    child.close()
    forks.close()
    assert set(threads) == {1}


ASKING = """
import sys
from tests.helpers.statements import ENDLESS, LIMITS
from engine.common.cancellation import CancelToken
from engine.catalog.catalog import ResultStore
from engine.query.sandbox import Statement, run_statement
from engine.stores import open_store

results = ResultStore(open_store(sys.argv[1]))
statement = Statement(ENDLESS, results.resolve("w", None, "acme"))
run_statement(statement, results, limits=LIMITS, max_rows=1, cancel=CancelToken())
"""


def test_a_service_that_is_killed_leaves_no_statement_running(tmp_path: Path) -> None:
    location = str(tmp_path / "results")
    Engine(tmp_path, open_store(location)).publish_rows(ROWS)
    with subprocess.Popen(
        [sys.executable, "-c", ASKING, location], env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ) as service:
        assert until(lambda: len(children(service.pid)) == 1)
        processes = [*children(service.pid), *started_by(service.pid)]
        service.kill()
    assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes))


def _pipes(pid: int) -> set[str]:
    opened = (str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir())
    return {name for name in opened if name.startswith(("pipe:", "socket:"))}
