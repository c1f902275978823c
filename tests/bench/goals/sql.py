"""Goal 16: one SQL statement on the command line, over a store of many workflows and over many rows, beside DuckDB."""

import csv
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench import SCRATCH, Bench
from tests.bench.data import RESULTS, Dataset, publish_into
from tests.bench.goals.lists import fill
from tests.bench.outcome import Line, spread_of
from tests.bench.process import environment
from tests.bench.progress import cost_of
from tests.bench.settings import ROOT, SMALL_ROWS, STATEMENT_ROWS, Settings

GOALS = (16,)
_WORKFLOWS = 2_000
_MOST_MB = 120
_TIMES = 3
_OBJECTS_COST = 300
"""What making one workflow costs, as a number of exported rows."""

_RUNS = 3
_MOST_SECONDS_MORE = 0.3
_PRICES = "SELECT {key} AS key, count(*) AS rows, max(price) AS price FROM {rows} GROUP BY ALL ORDER BY key"
_STATEMENTS = {
    "count": ("SELECT count(*) AS rows FROM {rows}", "result"),
    "group by": (_PRICES.replace("{key}", "details.color"), "result"),
    "filter": ("SELECT id, quantity, price FROM {rows} WHERE price > 999000 ORDER BY id", "result"),
    "history": (_PRICES, "history"),
}
"""Statements over ``{rows}`` of the latest run, or of all runs, whose ``{key}`` is the run."""

_TAILRACE = (sys.executable, "-c", "from web.cli import main; main()")


@dataclass(frozen=True)
class _Run:
    """What one process took, from its start to its end."""

    seconds: float
    cpu: float
    peak_mb: float
    printed: bytes


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    small = _WORKFLOWS * _OBJECTS_COST + 5 * cost_of(0, settings.rounds * _TIMES)
    return small + _RUNS * STATEMENT_ROWS + 2 * len(_STATEMENTS) * cost_of(0, settings.rounds * _TIMES)


def run(bench: Bench) -> list[Line]:
    """Whole processes, with imports: what a person waits for. The first run of each fills caches and is left out."""
    return [*_over_many_workflows(bench), *_over_many_rows(bench)]


def _over_many_workflows(bench: Bench) -> list[Line]:
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


def _over_many_rows(bench: Bench) -> list[Line]:
    folder = SCRATCH / "sql"
    for seed in range(1, _RUNS + 1):
        publish_into(str(folder / "results"), STATEMENT_ROWS, seed, exports=str(folder / "exports"))
        bench.progress.step(f"sql | run {seed} of {STATEMENT_ROWS:,} rows is there", STATEMENT_ROWS)
    variables = _variables(folder)
    workflow = f"rows-{STATEMENT_ROWS}"
    paths = sorted(str(path) for path in folder.glob("results/workflow=*/run=*/*.parquet"))
    latest = [path for path in paths if f"/run=seed-{_RUNS}-" in path]
    lines = []
    for name, (text, macro) in _STATEMENTS.items():
        read = paths if macro == "history" else latest
        ours = text.format(rows=f"{macro}('{workflow}')", key="_run_id")
        plain = text.format(rows=f"read_parquet({read}, hive_partitioning = true)", key="run")
        copy = f"COPY ({plain}) TO '/dev/stdout' (FORMAT csv, HEADER)"
        commands = (
            (*_TAILRACE, "sql", ours, "--format", "csv"),
            (sys.executable, "-c", f'import duckdb; duckdb.execute("""{copy}""")'),
        )
        both = [_measured(bench, command, variables) for command in commands]
        # Not bytes: the quoting differs.
        if _cells(both[0][0].printed) != _cells(both[1][0].printed):
            raise RuntimeError(f"{name}: the rows are not those of DuckDB")
        cpu, peer_cpu = ([one.cpu for one in runs] for runs in both)
        more = statistics.median(cpu) - statistics.median(peer_cpu)
        peaks = [max(one.peak_mb for one in runs) for runs in both]
        lines.append(
            Line(
                16,
                f"tailrace sql, {name}, {_RUNS if macro == 'history' else 1} x {STATEMENT_ROWS:,} rows",
                f"<= DuckDB + {_MOST_SECONDS_MORE:g} s of processor time",
                ours=spread_of(cpu),
                best=f"DuckDB, read_parquet of those parts: {spread_of(peer_cpu)}",
                figure=f"{more:+.2f} s",
                met=more <= _MOST_SECONDS_MORE,
                note=f"peaks of whole processes: {peaks[0]:.0f} MB, DuckDB {peaks[1]:.0f} MB",
                facts={"ours": cpu, "duckdb": peer_cpu, "peak_mb": peaks},
            )
        )
    bench.clean()
    return lines


def _store(folder: Path, data: Dataset) -> dict[str, str]:
    """A store of copies and of the run itself with its parts; returns its settings."""
    variables = _variables(folder)
    subprocess.run((*_TAILRACE, "init"), env=environment() | variables, cwd=ROOT, check=True, capture_output=True)
    fill(str(folder / "results"), "", data, _WORKFLOWS - 1)
    name = f"workflow={data.workflow}"
    # A copy of the times is a copy of the versions.
    shutil.copytree(RESULTS / name, folder / "results" / name)
    shutil.copytree(RESULTS / ".meta" / name, folder / "results" / ".meta" / name)
    return variables


def _cells(printed: bytes) -> list[list[str]]:
    return [*csv.reader(io.StringIO(printed.decode()))]


def _variables(folder: Path) -> dict[str, str]:
    names = {"TAILRACE_RESULTS": "results", "TAILRACE_EXPORTS": "exports", "TAILRACE_SPILL_DIRECTORY": "spill"}
    return {name: str(folder / below) for name, below in (names | {"XDG_CACHE_HOME": "cache"}).items()}


def _measured(bench: Bench, command: Sequence[str], variables: dict[str, str]) -> list[_Run]:
    runs = []
    for _ in range(1 + bench.settings.rounds * _TIMES):
        started = time.perf_counter()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command, env=environment() | variables, cwd=ROOT, stdout=output, stderr=subprocess.PIPE
            )
            # wait4 is the one way to the memory of this child alone.
            _, status, usage = os.wait4(process.pid, 0)
            seconds, cpu = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
            output.seek(0)
            runs.append(_Run(seconds, cpu, usage.ru_maxrss / 1024, output.read()))
        process.returncode = os.waitstatus_to_exitcode(status)
        with process:
            if process.returncode != 0:
                raise RuntimeError(f"{command[-1]} failed: {process.stderr.read() if process.stderr else b''!r}")
        bench.progress.step(f"sql | {command[-3][:60]} | {runs[-1].seconds:.2f} s", cost_of(0, 1))
    return runs[1:]
