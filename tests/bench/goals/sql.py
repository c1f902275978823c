"""Goal 16: one SQL statement on the command line over a store of many workflows, beside DuckDB over the same part."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench import SCRATCH, Bench
from tests.bench.data import RESULTS, Dataset
from tests.bench.goals.lists import fill
from tests.bench.outcome import Line, spread_of
from tests.bench.process import environment
from tests.bench.progress import cost_of
from tests.bench.settings import ROOT, SMALL_ROWS, Settings

GOALS = (16,)
_WORKFLOWS = 2_000
_MOST_MB = 120
_TIMES = 3
_OBJECTS_COST = 300
"""What making one workflow costs, as a number of exported rows."""

_TAILRACE = (sys.executable, "-c", "from web.cli import main; main()")


@dataclass(frozen=True)
class _Run:
    """What one process took, from its start to its end."""

    seconds: float
    peak_mb: float


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return _WORKFLOWS * _OBJECTS_COST + 5 * cost_of(0, settings.rounds * _TIMES)


def run(bench: Bench) -> list[Line]:
    """Whole processes, with imports: what a person waits for. The first run of each fills caches and is left out."""
    data, folder = bench.data(SMALL_ROWS), SCRATCH / "sql"
    variables = _store(folder, data)
    bench.progress.step(f"sql | {_WORKFLOWS:,} workflows are there", _WORKFLOWS * _OBJECTS_COST)
    part = next((RESULTS / f"workflow={data.workflow}").rglob("*.parquet"))
    peer = _measured(
        bench,
        (sys.executable, "-c", f"import duckdb; duckdb.sql(\"FROM '{part}' LIMIT 1\").write_csv('/dev/null')"),
        {},
    )
    lines = []
    for query, most in (
        ("SELECT 1", 0.4),
        (f"FROM result('{data.workflow}') LIMIT 1", 0.4),
        ("SELECT count(*) FROM runs", 0.4),
        ("FROM files", 1.0),
    ):
        ours = _measured(bench, (*_TAILRACE, "sql", query, "--format", "csv"), variables)
        seconds, peak = statistics.median(one.seconds for one in ours), max(one.peak_mb for one in ours)
        lines.append(
            Line(
                16,
                f'tailrace sql "{query}", {_WORKFLOWS:,} workflows',
                f"<= {most:g} s, {_MOST_MB} MB",
                ours=spread_of([one.seconds for one in ours]),
                best=f"DuckDB, one row of that part: {spread_of([one.seconds for one in peer])}",
                figure=f"{seconds:.2f} s, {peak:.0f} MB",
                met=seconds <= most and peak <= _MOST_MB,
                facts={"ours": [one.seconds for one in ours], "duckdb": [one.seconds for one in peer], "peak_mb": peak},
            )
        )
    bench.clean()
    return lines


def _store(folder: Path, data: Dataset) -> dict[str, str]:
    """A store of copies and of the run itself with its parts; returns its settings."""
    variables = {"TAILRACE_RESULTS": str(folder / "results"), "TAILRACE_EXPORTS": str(folder / "exports")}
    variables |= {"XDG_CACHE_HOME": str(folder / "cache"), "TAILRACE_SPILL_DIRECTORY": str(folder / "spill")}
    subprocess.run((*_TAILRACE, "init"), env=environment() | variables, cwd=ROOT, check=True, capture_output=True)
    fill(str(folder / "results"), "", data, _WORKFLOWS - 1)
    name = f"workflow={data.workflow}"
    # A copy of the times is a copy of the versions.
    shutil.copytree(RESULTS / name, folder / "results" / name)
    shutil.copytree(RESULTS / ".meta" / name, folder / "results" / ".meta" / name)
    return variables


def _measured(bench: Bench, command: Sequence[str], variables: dict[str, str]) -> list[_Run]:
    runs = []
    for _ in range(1 + bench.settings.rounds * _TIMES):
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment() | variables, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        # wait4 is the one way to the memory of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        runs.append(_Run(time.perf_counter() - started, usage.ru_maxrss / 1024))
        process.returncode = os.waitstatus_to_exitcode(status)
        with process:
            if process.returncode != 0:
                raise RuntimeError(f"{command[-1]} failed: {process.stderr.read() if process.stderr else b''!r}")
        bench.progress.step(f"sql | {command[-3][:60]} | {runs[-1].seconds:.2f} s", cost_of(0, 1))
    return runs[1:]
