"""Goal 3: the full export over a line with a delay and a rate for each connection."""

from dataclasses import replace

from tests.bench.bench import Bench
from tests.bench.contenders import DUCKDB_AZURE, OURS
from tests.bench.outcome import Line, against_peers
from tests.bench.progress import cost_of
from tests.bench.settings import Settings

GOALS = (3,)
_LEAST = 3.0
_SLOWER = 2
"""How much longer a measurement takes than without the line, roughly."""


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(settings.rows, settings.rounds * len(settings.formats) * 2) * _SLOWER


def run(bench: Bench) -> list[Line]:
    """Each format, ours and the plain COPY in turns."""
    data = bench.data(bench.settings.rows)
    lines = []
    for format_name in bench.settings.formats:
        job = bench.job(data, format_name)
        entries = [(OURS, job), (DUCKDB_AZURE, job)]
        series = bench.compare(f"far {format_name}", entries, data.rows, far=True)
        work = f"15 ms and 50 MB/s a connection, {format_name.upper()}, {data.rows:,} rows"
        lines.append(replace(against_peers(3, work, series, least=_LEAST), format=format_name))
    return lines
