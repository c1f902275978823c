"""Goal 20: CSV compressed with gzip: against plain CSV in a store and over a line, and against DuckDB's gzip."""

from tests.bench.bench import Bench
from tests.bench.contenders import DUCKDB_GZIP, GZIP, OURS
from tests.bench.goals.line import KINDS, SlowLine
from tests.bench.outcome import Line, against_other, against_peers
from tests.bench.progress import cost_of
from tests.bench.settings import Settings

GOALS = (20,)
_MOST, _MOST_OVER_A_LINE, _LEAST = 1.2, 0.4, 4.0


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(settings.line_rows, 20 * settings.runs)


def run(bench: Bench) -> list[Line]:
    """A fifth of the rows. DuckDB writes a local file, and we into the store."""
    data = bench.data(bench.settings.line_rows)
    plain = bench.job(data, "csv")
    gzip = plain.but(compression="gzip")
    what = f"CSV as gzip, {data.rows:,} rows"
    entries = [bench.entry(GZIP, gzip), bench.entry(OURS, plain), bench.entry(DUCKDB_GZIP, gzip)]
    ours, uncompressed, duckdb = bench.compare("gzip", entries, data.rows)
    lines = [
        against_other(20, f"{what}, ideal store", ours, uncompressed, most=_MOST),
        against_peers(20, f"{what}, against DuckDB's gzip", [ours, duckdb], least=_LEAST),
    ]
    kind = KINDS[0]
    with SlowLine(bench, kind) as line:
        entries = [line.fetched(GZIP, gzip), line.fetched(OURS, plain)]
        ours, uncompressed = bench.compare("gzip over a line", entries, 4 * data.rows)
    lines.append(
        against_other(20, f"{what}, {kind.title}, request to finished file", ours, uncompressed, most=_MOST_OVER_A_LINE)
    )
    return lines
