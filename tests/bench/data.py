"""The data: seeded rows, published once as a run, and kept as long as neither they nor the publisher change.

As a program (``python -m tests.bench.data ROWS SEED FOLDER``) it makes the rows as Parquet files.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import engine
from tests.bench.process import environment
from tests.bench.settings import FOLDER, ROOT
from tests.helpers.server import TEAM

RESULTS = FOLDER / "results"
BATCHES = 1_000
_ROWS_PER_FILE = 1_000_000
_LAYOUT = (
    "publishing/publisher.py",
    "execute/row_group_copy.py",
    "parquet/footer_merge.py",
    "catalog/row_group_stats.py",
    "catalog/manifest.py",
    "publishing/sources.py",
    "publishing/spooling.py",
    "publishing/parquet/files.py",
)
"""What decides on the parts and the manifest of a run, beside the rows."""

_SQL = """
    SELECT
        i AS id,
        CAST(i * {batches} // {rows} AS INTEGER) AS batch,
        {adjectives}[1 + h1 % 8] || ' ' || {things}[1 + h1 // 8 % 8] || ', ' || {notes}[1 + h1 // 64 % 8]
            || ' #' || h2 % 1000000 AS title,
        'https://shop.example/p/' || lower({things_plain}[1 + h1 // 8 % 8]) || '/' || i
            || '?ref=' || printf('%08x', h2 % 4294967296) AS url,
        CASE WHEN h3 % 20 > 0 THEN CAST(h3 // 20 % 5000 AS INTEGER) END AS quantity,
        (h3 // 100000 % 100000007) / 7000.0 AS rating,
        CAST((h2 // 1000000 % 100000000) / 100 AS DECIMAL(12, 2)) AS price,
        h2 % 3 > 0 AS in_stock,
        DATE '2015-01-01' + CAST(h1 // 4096 % 4000 AS INTEGER) AS listed_on,
        make_timestamptz(1700000000000000 + i * 1250000 + h2 % 1000000) AS scraped_at,
        {{'color': {colors}[1 + h3 % 8], 'tags': [{colors}[1 + h1 % 8], 't' || h3 // 64 % 10000],
          'grams': CAST(h3 % 20000 AS INTEGER)}} AS details
    FROM (
        SELECT i, CAST(hash(i + {seed}) >> 1 AS BIGINT) AS h1, CAST(hash(i * 3 + {seed} + 1) >> 1 AS BIGINT) AS h2,
            CAST(hash(i * 7 + {seed} + 2) >> 1 AS BIGINT) AS h3
        FROM range($first, $end) AS numbers(i)
    )
"""
_WORDS = {
    "adjectives": "['Großer', 'Small', 'Élégant', 'Steel', '手作りの', 'Second-hand', 'Foldable', 'Blue']",
    "things": "['mug', 'lamp \"Nord\"', 'chair', 'table', 'kettle', 'crème brûlée set', 'clock', 'desk, oak']",
    "things_plain": "['Mug', 'Lamp', 'Chair', 'Table', 'Kettle', 'Sets', 'Clock', 'Desk']",
    "notes": "['as good as new', 'dishwasher-safe', '12\" wide', 'für draußen', 'two pieces', 'no \"returns\"',"
    " 'with a long description', '3 years of warranty']",
    "colors": "['red', 'green', 'sky blue', 'grün', 'black', 'white', 'orange, dark', 'grey']",
}


@dataclass(frozen=True)
class Dataset:
    """A published run: its parts as files, in run order."""

    rows: int
    workflow: str
    parts: tuple[str, ...]
    bytes: int


def dataset(rows: int, seed: int) -> Dataset | None:
    """The run of that many rows if it is published already, by the publisher as it is now."""
    workflow, run = f"rows-{rows}", _run_id(seed)
    manifest = RESULTS / f"workflow={workflow}" / f"run={run}" / "run.json"
    if not manifest.is_file():
        return None
    parts = json.loads(manifest.read_bytes())["parts"]
    paths = tuple(str(RESULTS / part["key"]) for part in parts)
    return Dataset(rows, workflow, paths, sum(part["bytes"] for part in parts))


def publish(rows: int, seed: int) -> Dataset:
    """Make the rows and publish them, in the place of an older run of as many rows."""
    shutil.rmtree(RESULTS / f"workflow=rows-{rows}", ignore_errors=True)
    publish_into(str(RESULTS), rows, seed)
    made = dataset(rows, seed)
    if made is None:
        raise RuntimeError("the run was published and is not there")
    return made


def publish_into(results: str, rows: int, seed: int, connection_string: str = "", exports: str = "") -> None:
    """Make the rows and publish them into a directory or store, which has these exports or some that are removed."""
    source, no_exports = FOLDER / f"source-{rows}", FOLDER / "no-exports"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    try:
        make = [sys.executable, "-m", "tests.bench.data", str(rows), str(seed), str(source)]
        subprocess.run(make, env=environment(), cwd=ROOT, check=True)
        command = [sys.executable, "-c", "from web.cli import main; main()", "publish", "--team", TEAM]
        command += ["--workflow", f"rows-{rows}", "--run", _run_id(seed), *map(str, sorted(source.iterdir()))]
        settings = {
            "TAILRACE_RESULTS": results,
            "TAILRACE_EXPORTS": exports or str(no_exports),
            "AZURE_STORAGE_CONNECTION_STRING": connection_string,
            "TAILRACE_SPILL_DIRECTORY": str(FOLDER / "spill"),
        }
        subprocess.run(command, env=environment() | settings, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    finally:
        for folder in (source, no_exports):
            shutil.rmtree(folder, ignore_errors=True)


def _run_id(seed: int) -> str:
    """The seed, and a fingerprint of the code that the data depends on."""
    folder = Path(str(engine.__file__)).parent
    files = [Path(__file__), *(folder / name for name in _LAYOUT)]
    code = b"".join(path.read_bytes() for path in files if path.is_file())
    return f"seed-{seed}-{hashlib.sha256(code).hexdigest()[:12]}"


def make(rows: int, seed: int, folder: Path) -> None:
    """Write the rows as Parquet files."""
    # Here, because the program that measures imports this module and has to stay small.
    import duckdb

    connection = duckdb.connect(config={"threads": os.cpu_count() or 1})
    connection.execute("SET TimeZone='UTC'")
    for number, first in enumerate(range(0, rows, _ROWS_PER_FILE)):
        select = _SQL.format(rows=rows, seed=seed, batches=BATCHES, **_WORDS)
        bounds = {"first": first, "end": min(first + _ROWS_PER_FILE, rows), "target": str(folder / f"{number:05d}")}
        connection.execute(f"COPY ({select}) TO $target (FORMAT parquet, COMPRESSION snappy)", bounds)
        (folder / f"{number:05d}").rename(folder / f"{number:05d}.parquet")


if __name__ == "__main__":
    make(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
