"""Goal 17: a run as xlsx, against DuckDB's excel writer and openpyxl."""

from dataclasses import replace

from tests.bench.bench import Bench
from tests.bench.contenders import DUCKDB_XLSX, OPENPYXL_XLSX, OUR_SHEET
from tests.bench.outcome import FAILED, Line, spread
from tests.bench.progress import cost_of
from tests.bench.series import cpu
from tests.bench.settings import SHEET_ROWS, Settings

GOALS = (17,)
_MAX_RATIO = 1.0


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(SHEET_ROWS, 20 * settings.rounds)


def run(bench: Bench) -> list[Line]:
    """Always of as many rows; processor time, since the others have one thread. Ours also uploads and hashes."""
    data = bench.data(SHEET_ROWS)
    job = bench.job(data, "xlsx")
    entries = [bench.entry(contender, job) for contender in (OUR_SHEET, DUCKDB_XLSX, OPENPYXL_XLSX)]
    ours, *others = bench.compare("sheet", entries, data.rows)
    line = Line(
        17,
        f"a run as xlsx, {data.rows:,} rows, nested details as JSON text",
        f"ours <= {_MAX_RATIO:g} x the better of DuckDB's excel extension and openpyxl, processor time",
        ours=FAILED,
        met=False,
        note=ours.error,
        series=(ours, *others),
    )
    usable = [found for found in others if found.usable]
    if not (ours.usable and usable):
        return [line]
    best = min(usable, key=lambda found: found.median(cpu))
    ratio = ours.median(cpu) / best.median(cpu)
    rest = [f"{found.contender.title}: {spread(found, cpu)}" for found in usable if found is not best]
    return [
        replace(
            line,
            ours=spread(ours, cpu),
            best=f"{best.contender.title}: {spread(best, cpu)}",
            figure=f"{ratio:.2f}x",
            met=ratio <= _MAX_RATIO,
            note="; ".join(rest),
        )
    ]
