"""Goals 1 and 2: a full export in each format, against the peers and against our own encoding alone."""

from collections.abc import Iterator
from dataclasses import replace

from tests.bench.bench import Bench
from tests.bench.contenders import ENCODE_ONLY, OURS, PEERS, Contender
from tests.bench.outcome import Line, against_other, against_peers
from tests.bench.progress import cost_of
from tests.bench.settings import Settings

GOALS = (1, 2)
_LEAST = {"csv": 0.8, "json": 0.9, "parquet": 1.2}
_MOST = 1.15
_ENCODED = ("csv", "json")
"""The formats in which a whole run is encoded; of Parquet, row groups are copied."""


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    contenders = sum(len(_contenders(settings, format_name)) for format_name in settings.formats)
    return cost_of(settings.rows, contenders * settings.runs)


def run(bench: Bench) -> list[Line]:
    """All formats, each with its contenders taking turns."""
    lines: list[Line] = []
    for format_name in bench.settings.formats:
        lines += (replace(line, format=format_name) for line in _lines(bench, format_name))
    return lines


def _contenders(settings: Settings, format_name: str) -> list[Contender]:
    peers = PEERS if 1 in settings.goals else ()
    parts = (ENCODE_ONLY,) if 2 in settings.goals and format_name in _ENCODED else ()
    return [OURS, *peers, *parts]


def _lines(bench: Bench, format_name: str) -> Iterator[Line]:
    settings = bench.settings
    data = bench.data(settings.rows)
    job = bench.job(data, format_name)
    entries = [bench.entry(contender, job) for contender in _contenders(settings, format_name)]
    series = bench.compare(f"full {format_name}", entries, data.rows)
    what = f"{format_name.upper()}, {data.rows:,} rows"
    if 1 in settings.goals:
        rivals = [found for found in series if found.contender is not ENCODE_ONLY]
        yield against_peers(1, f"full export, {what}", rivals, least=_LEAST[format_name])
    if series[-1].contender is ENCODE_ONLY:
        yield against_other(2, f"full export, {what}", series[0], series[-1], most=_MOST)
