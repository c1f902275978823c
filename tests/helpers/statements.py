"""Run SQL statements in the sandbox, and find the processes that they run in."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

from engine.catalog.manifest import Run
from engine.common.cancellation import CancelToken
from engine.query.sandbox import Limits, Statement, run_statement
from tests.helpers.engine import Engine

LIMITS = Limits(memory_megabytes=200, threads=2, seconds=20)
ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b"


def rows(
    engine: Engine, run: Run, sql: str, limits: Limits = LIMITS, cancel: CancelToken | None = None
) -> list[dict[str, object]]:
    """Run a statement and return its rows, at most 100."""
    answer = run_statement(
        Statement(sql, run), engine.results, limits=limits, max_rows=100, cancel=cancel or CancelToken()
    )
    found: list[dict[str, object]] = json.loads(answer.rows)
    assert len(found) == answer.count
    return found


def until(holds: Callable[[], bool]) -> bool:
    """Wait until a condition holds, at most 20 s; return whether it does."""
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def children(parent: int | None = None) -> list[int]:
    """The running processes of statements that a process (default: this one) has started."""
    servers = started_by(parent or os.getpid(), "engine.query.sandbox.fork_server")
    return [child for server in servers for child in started_by(server)]


def end_statement(died_of: signal.Signals, parent: int | None = None) -> None:
    """Send a signal to the process of a statement as soon as it is ready for one; ``parent`` is as in `children`."""
    assert until(lambda: len(children(parent)) == 1)
    (child,) = children(parent)
    # By the default action, a SIGSEGV would look like a stack overflow (`engine.query.sandbox.fork_server`).
    assert until(lambda: _handles(child, signal.SIGSEGV))
    os.kill(child, died_of)


def _handles(process: int, number: signal.Signals) -> bool:
    (handled,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return bool(int(handled, 16) >> (number - 1) & 1)


def started_by(parent: int, what: str = "") -> list[int]:
    """The running children of a process whose command line contains a text."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            theirs = status.read_text().rpartition(")")[2].split()[1] == str(parent)
            if theirs and what in status.with_name("cmdline").read_text():
                found.append(int(status.parent.name))
        except OSError:
            continue
    return found
