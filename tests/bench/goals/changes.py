"""Goal 18: what changed between two runs, against a join of all values by DuckDB."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.bench.bench import Bench
from tests.bench.contenders import DUCKDB_JOIN, OUR_CHANGES
from tests.bench.outcome import FAILED, Line, spread
from tests.bench.process import environment
from tests.bench.progress import cost_of
from tests.bench.series import cpu
from tests.bench.settings import COMPARED_ROWS, FOLDER, ROOT, Settings
from tests.helpers.server import TEAM

GOALS = (18,)
_FOLDER = FOLDER / "changes"
_MAX_SECONDS = 1.0


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(COMPARED_ROWS, 2 * settings.rounds)


def run(bench: Bench) -> list[Line]:
    """Always of as many rows, of which 1 % each were added, changed and removed. One thread each; ours also uploads."""
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    try:
        older, newer = _publish(bench)
        job = bench.job(
            bench.data(COMPARED_ROWS),
            "csv",
            parts=(str(newer), str(older)),
            results=str(_FOLDER / "results"),
            workflow="compared",
            since="older",
        )
        entries = [bench.entry(contender, job) for contender in (OUR_CHANGES, DUCKDB_JOIN)]
        ours, join = bench.compare("changes", entries, COMPARED_ROWS)
    finally:
        shutil.rmtree(_FOLDER, ignore_errors=True)
    line = Line(
        18,
        f"changes between two runs of {COMPARED_ROWS:,} rows, 1 % each added, changed and removed, as CSV",
        f"<= {_MAX_SECONDS:g} s of processor time",
        ours=FAILED,
        met=False,
        note=ours.error or join.error,
        series=(ours, join),
    )
    if not (ours.usable and join.usable):
        return [line]
    return [
        replace(
            line,
            ours=spread(ours, cpu),
            best=f"DuckDB: {spread(join, cpu)}",
            figure=f"{join.median(cpu) / ours.median(cpu):.2f}x",
            met=ours.median(cpu) <= _MAX_SECONDS,
            note=f"peaks of whole processes: {ours.peak_mb:.0f} MB, DuckDB {join.peak_mb:.0f} MB",
        )
    ]


def _publish(bench: Bench) -> tuple[Path, Path]:
    """Publish two runs with row ids, and return the files that they were made of."""
    older, newer = _FOLDER / "older.parquet", _FOLDER / "newer.parquet"
    parts = bench.data(COMPARED_ROWS).parts
    command = [sys.executable, "-m", "tests.bench.changed_rows", str(COMPARED_ROWS), str(older), str(newer), *parts]
    subprocess.run(command, env=environment(), cwd=ROOT, check=True)
    for path in (older, newer):
        command = [sys.executable, "-c", "from web.cli import main; main()", "publish", "--team", TEAM]
        command += ["--workflow", "compared", "--run", path.stem, "--row-id", "id", str(path)]
        settings = {
            "TAILRACE_RESULTS": str(_FOLDER / "results"),
            "TAILRACE_EXPORTS": str(_FOLDER / "exports"),
            "TAILRACE_SPILL_DIRECTORY": str(FOLDER / "spill"),
        }
        subprocess.run(command, env=environment() | settings, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return older, newer
