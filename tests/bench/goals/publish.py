"""Goal 15: publishing a CSV file, against DuckDB's COPY of the same file to Parquet, which checks nothing."""

import subprocess
import sys
from pathlib import Path

from tests.bench.bench import Bench
from tests.bench.contenders import DUCKDB_CSV, PUBLISH_CSV
from tests.bench.data import Dataset
from tests.bench.job import COLUMNS
from tests.bench.outcome import FAILED, Line, spread
from tests.bench.process import environment
from tests.bench.progress import cost_of
from tests.bench.series import cpu
from tests.bench.settings import FOLDER, PUBLISHED_ROWS, Settings

GOALS = (15,)
_MAX_RATIO = 1.3


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(PUBLISHED_ROWS, 2 * settings.rounds)


def run(bench: Bench) -> list[Line]:
    """Always of as many rows; processor time, since both have one thread."""
    data = bench.data(PUBLISHED_ROWS)
    path = FOLDER / "publish.csv"
    _write_csv(data, path)
    try:
        job = bench.job(data, "parquet", parts=(str(path),))
        entries = [bench.entry(contender, job) for contender in (PUBLISH_CSV, DUCKDB_CSV)]
        ours, duckdb_copy = bench.compare("publish", entries, data.rows)
    finally:
        path.unlink()
    line = Line(
        15,
        f"publishing a CSV file of {data.rows:,} rows and {len(COLUMNS) - 1} columns",
        f"ours <= {_MAX_RATIO:g} x DuckDB's COPY to Parquet with zstd, processor time",
        ours=FAILED,
        met=False,
        note=ours.error or duckdb_copy.error,
        series=(ours, duckdb_copy),
    )
    if not (ours.usable and duckdb_copy.usable):
        return [line]
    ratio = ours.median(cpu) / duckdb_copy.median(cpu)
    measured = {
        "ours": spread(ours, cpu),
        "best": f"DuckDB: {spread(duckdb_copy, cpu)}",
        "figure": f"{ratio:.2f}x",
        "met": ratio <= _MAX_RATIO,
    }
    return [Line(**{**line.__dict__, **measured})]


def _write_csv(data: Dataset, path: Path) -> None:
    """The columns that are not nested, in the spelling of a CSV export, with moments in whole seconds."""
    cells = ", ".join(
        "strftime(scraped_at, '%Y-%m-%dT%H:%M:%SZ') AS scraped_at" if name == "scraped_at" else name
        for name in COLUMNS[:-1]
    )
    copy = f"COPY (SELECT {cells} FROM read_parquet({list(data.parts)})) TO '{path}' (FORMAT csv)"
    # A process of its own: what this one holds would count as the peak of those that it measures.
    program = f"import duckdb; duckdb.execute(\"SET TimeZone='UTC'\"); duckdb.execute({copy!r})"
    subprocess.run([sys.executable, "-c", program], env=environment(), check=True)
