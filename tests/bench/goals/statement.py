"""Goal 12: our CSV statement in one thread, into nothing: what reading and spelling the rows takes of the processor."""

from tests.bench.bench import Bench
from tests.bench.contenders import STATEMENT_ONLY
from tests.bench.outcome import FAILED, Line, spread
from tests.bench.progress import cost_of
from tests.bench.series import cpu
from tests.bench.settings import STATEMENT_ROWS, Settings

GOALS = (12,)
_MOST_SECONDS = 0.95


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(STATEMENT_ROWS, settings.rounds)


def run(bench: Bench) -> list[Line]:
    """Always of as many rows, whatever the others have."""
    data = bench.data(STATEMENT_ROWS)
    (series,) = bench.compare("statement", [bench.entry(STATEMENT_ONLY, bench.job(data, "csv"))], data.rows)
    line = Line(
        12,
        f"our CSV statement, one thread, {data.rows:,} rows into /dev/null",
        f"<= {_MOST_SECONDS} s of processor time",
        ours=FAILED,
        met=False,
        note=series.error,
        series=(series,),
    )
    if not series.usable:
        return [line]
    median = series.median(cpu)
    measured = {"ours": spread(series, cpu), "figure": f"{median:.2f} s", "met": median <= _MOST_SECONDS}
    return [Line(**{**line.__dict__, **measured})]
