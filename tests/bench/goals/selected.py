"""Goals 5, 6 and 7: a sorted export, a few rows by their ids, and a filter on a clustered column."""

import random

from tests.bench.bench import Bench
from tests.bench.contenders import OURS, PEERS
from tests.bench.data import BATCHES, Dataset
from tests.bench.outcome import Line, against_peers, seconds
from tests.bench.progress import cost_of
from tests.bench.series import Series, best_peer
from tests.bench.settings import Settings

GOALS = (5, 6, 7)
_MEMORY = "1GB"
_MOST_MB = 1_500
_IDS = 100
_KINDS = {5: 1, 6: 2, 7: 1}
"""How many comparisons each goal takes."""


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    kinds = [goal for goal in GOALS if goal in settings.goals]
    each = settings.rounds * (1 + len(PEERS))
    return sum(cost_of(settings.rows if goal == 5 else 0, each * _KINDS[goal]) for goal in kinds)


def run(bench: Bench) -> list[Line]:
    """Those that were asked for."""
    data = bench.data(bench.settings.rows)
    lines = []
    if 5 in bench.settings.goals:
        lines.append(_sorted(bench, data))
    if 6 in bench.settings.goals:
        spread = sorted(random.Random(bench.settings.seed).sample(range(data.rows), _IDS))
        first = data.rows // 2
        lines.append(_looked_up(bench, data, "anywhere", spread))
        lines.append(_looked_up(bench, data, "in a row", list(range(first, first + _IDS))))
    if 7 in bench.settings.goals:
        lines.append(_filtered(bench, data))
    return lines


def _compare(bench: Bench, data: Dataset, what: str, rows: int, **options: object) -> list[Series]:
    job = bench.job(data, "csv", **options)
    return bench.compare(what, [(contender, job) for contender in (OURS, *PEERS)], rows)


def _sorted(bench: Bench, data: Dataset) -> Line:
    series = _compare(bench, data, "sorted csv", data.rows, sort="rating", memory=_MEMORY)
    line = against_peers(5, f"sorted by a column that is no key, {_MEMORY}, CSV, {data.rows:,} rows", series, least=1.0)
    if not series[0].usable:
        return line
    notes = [f"our peak {series[0].peak_mb:.0f} MB (at most {_MOST_MB})"]
    fastest, within = best_peer(series), best_peer(series, most_mb=_MOST_MB)
    if fastest is not None and fastest.peak_mb > _MOST_MB:
        notes.append(f"{fastest.contender.title} takes {fastest.peak_mb:.0f} MB for it")
        if within is not None:
            ratio = within.median() / series[0].median()
            notes.append(
                f"the fastest of those within {_MOST_MB} MB is {within.contender.title} with "
                f"{seconds(within.median())}: {ratio:.2f}x"
            )
    met = None if line.met is None else line.met and series[0].peak_mb <= _MOST_MB
    return Line(**{**line.__dict__, "met": met, "note": "; ".join(filter(None, (*notes, line.note)))})


def _looked_up(bench: Bench, data: Dataset, where: str, ids: list[int]) -> Line:
    series = _compare(bench, data, f"{len(ids)} ids {where}", 0, ids=ids, served=True)
    text = f"{len(ids)} row ids {where}, of {data.rows:,} rows"
    return against_peers(6, text, series, least=10.0, alone=True, note=_whole(series))


def _filtered(bench: Bench, data: Dataset) -> Line:
    batches = (BATCHES // 2, BATCHES // 2 + BATCHES // 100 - 1)
    series = _compare(bench, data, "filter 1 %", 0, batches=batches, served=True)
    text = f"a filter on a clustered column that keeps 1 % of {data.rows:,} rows"
    return against_peers(7, text, series, least=3.0, alone=True, note=_whole(series))


def _whole(series: list[Series]) -> str:
    """Starting a process outweighs such work, so the work alone is judged, and the rest told."""
    best = best_peer(series)
    if not series[0].usable or best is None:
        return ""
    ratio = best.median() / series[0].median()
    return (
        f"time of the work, since a service has started before; as whole processes {seconds(series[0].median())} "
        f"against {seconds(best.median())} ({best.contender.title}): {ratio:.2f}x"
    )
