"""Goals 5, 6 and 7: sorted exports, a few rows by their ids, and filters."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.bench.bench import Bench
from tests.bench.contenders import OURS, PEERS
from tests.bench.data import BATCHES, Dataset
from tests.bench.outcome import Line, against_peers
from tests.bench.progress import cost_of
from tests.bench.settings import Settings

GOALS = (5, 6, 7)
_IDS = 100


@dataclass(frozen=True)
class Work:
    """One comparison: the rows to keep and their order. ``share`` is that of the rows which are exported."""

    goal: int
    title: str
    format: str
    least: float
    options: dict[str, Any]
    share: float


def works(rows: int, seed: int) -> Iterator[Work]:
    """What is compared on a run of that many rows."""
    yield Work(5, "sorted by a DOUBLE", "csv", 0.9, {"sort": "rating"}, 2)
    yield Work(5, "sorted by a DOUBLE", "parquet", 1.0, {"sort": "rating"}, 2)
    anywhere = sorted(random.Random(seed).sample(range(rows), _IDS))
    first = rows // 2
    yield Work(6, f"{_IDS} row ids anywhere", "csv", 10.0, {"ids": anywhere}, 0)
    yield Work(6, f"{_IDS} row ids in a row", "csv", 10.0, {"ids": list(range(first, first + _IDS))}, 0)
    tenths = BATCHES // 10
    yield Work(
        7, "a clustered filter that keeps 30 %", "csv", 0.9, {"between": ("batch", 3 * tenths, 6 * tenths - 1)}, 0.3
    )
    yield Work(
        7, "a clustered filter that keeps 0.25 %", "csv", 0.9, {"between": ("id", first, first + rows // 400 - 1)}, 0
    )
    middle = BATCHES // 2
    one = ("batch", middle, middle + BATCHES // 100 - 1)
    yield Work(7, "a clustered filter that keeps 1 %", "csv", 3.0, {"between": one}, 0)
    thirds = ("batch", 3 * tenths, 6 * tenths - 1)
    yield Work(7, "a filter that keeps whole row groups (30 %)", "parquet", 3.0, {"between": thirds}, 0.3)
    # Of 5,000 values without an order, and a twentieth of nulls.
    across = ("quantity", 0, 1_499)
    yield Work(7, "a filter across all row groups (28 %)", "parquet", 1.0, {"between": across}, 0.5)


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    each = settings.runs * (1 + len(PEERS))
    wanted = [work for work in works(settings.rows, settings.seed) if work.goal in settings.goals]
    return sum(cost_of(int(settings.rows * work.share), each) for work in wanted)


def run(bench: Bench) -> list[Line]:
    """The selected ones of these goals."""
    data = bench.data(bench.settings.rows)
    wanted = works(data.rows, bench.settings.seed)
    return [_line(bench, data, work) for work in wanted if work.goal in bench.settings.goals]


def _line(bench: Bench, data: Dataset, work: Work) -> Line:
    job = bench.job(data, work.format, **work.options)
    what = f"{work.title}, {work.format.upper()}"
    entries = [bench.entry(contender, job) for contender in (OURS, *PEERS)]
    series = bench.compare(what, entries, int(data.rows * work.share))
    return against_peers(work.goal, f"{what}, of {data.rows:,} rows", series, least=work.least)
