"""Goal 14: results in the store that exports go to, instead of on a disk."""

from dataclasses import replace
from functools import partial

from tests.bench.bench import Bench
from tests.bench.contenders import FROM_DISK, FROM_STORE
from tests.bench.data import Dataset, publish_into
from tests.bench.ideal import RESULTS_CONTAINER
from tests.bench.outcome import Line, against_other, spread
from tests.bench.progress import cost_of
from tests.bench.series import Series, cpu
from tests.bench.settings import Settings

GOALS = (14,)
_MOST = {"csv": 1.05, "json": 1.05, "parquet": 1.2}
_MOST_CPU = 0.3
_RESULTS = f"az://{RESULTS_CONTAINER}"


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(settings.rows, 2 * len(settings.formats) * settings.runs)


def run(bench: Bench) -> list[Line]:
    """The store keeps the run's parts in memory, so that reading them costs it little."""
    data = bench.data(bench.settings.rows)
    bench.store.keep(on=True)
    try:
        publish_into(_RESULTS, data.rows, bench.settings.seed, bench.store.connection_string)
        bench.store.keep(on=False)
        return [line for format_name in bench.settings.formats for line in _lines(bench, data, format_name)]
    finally:
        bench.store.keep(on=False)
        bench.store.empty(RESULTS_CONTAINER)


def _lines(bench: Bench, data: Dataset, format_name: str) -> list[Line]:
    job = bench.job(data, format_name)
    there = job.but(results=_RESULTS)
    from_store = (FROM_STORE, job, partial(bench.measure, FROM_STORE.command(there)))
    disk, store = bench.compare(
        f"results in the store, {format_name}", [bench.entry(FROM_DISK, job), from_store], data.rows
    )
    what = f"results read from the store, {format_name.upper()}, {data.rows:,} rows"
    lines = [against_other(14, what, store, disk, most=_MOST[format_name])]
    if format_name == "parquet":
        lines.append(_whole_run(store, data.rows))
    return [replace(line, format=format_name) for line in lines]


def _whole_run(series: Series, rows: int) -> Line:
    line = Line(
        14, f"results and exports in one account, PARQUET, {rows:,} rows", f"<= {_MOST_CPU} s of processor time"
    )
    if not series.usable:
        return replace(line, met=False, note=series.error, series=(series,))
    median = series.median(cpu)
    return replace(line, ours=spread(series, cpu), figure=f"{median:.2f} s", met=median <= _MOST_CPU, series=(series,))
