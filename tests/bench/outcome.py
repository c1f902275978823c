"""What came of one goal: one line of the table, and the series behind it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tests.bench.series import Series, Value, best_peer, wall
from tests.bench.series import work as work_alone

FAILED = "failed"
NO_PEER = "no peer finished"


@dataclass(frozen=True)
class Line:
    """One line of the table. ``met`` None: not measured, and ``note`` says why. ``format``, if there are several.

    ``alone``: the times are of the work, without the start of a process.
    """

    goal: int
    work: str
    target: str
    ours: str = "-"
    best: str = "-"
    figure: str = "-"
    met: bool | None = None
    note: str = ""
    series: tuple[Series, ...] = ()
    facts: dict[str, object] = field(default_factory=dict)
    format: str = ""
    alone: bool = False

    def summary(self) -> dict[str, object]:
        """All of it, for the JSON report."""
        return {
            "goal": self.goal,
            "format": self.format,
            "alone": self.alone,
            "work": self.work,
            "target": self.target,
            "ours": self.ours,
            "best": self.best,
            "figure": self.figure,
            "met": self.met,
            "note": self.note,
            "facts": self.facts,
            "series": [series.summary() for series in self.series],
        }


def seconds(value: float) -> str:
    """A time as people read it."""
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def spread(series: Series, value: Value = wall) -> str:
    """A median and its spread."""
    return seconds_between(series.median(value), *series.spread(value))


def seconds_between(median: float, low: float, high: float) -> str:
    """A median, the least and the most."""
    return f"{seconds(median)} ({seconds(low)} - {seconds(high)})"


def against_peers(
    goal: int,
    work: str,
    series: Iterable[Series],
    *,
    least: float,
    alone: bool = False,
    note: str = "",
) -> Line:
    """The line of a goal "best peer / ours >= least"; the first series is ours. ``alone``: by the work alone."""
    all_series, value = tuple(series), work_alone if alone else wall
    failed = [
        f"{found.contender.title} could not be measured: {found.error}" for found in all_series[1:] if found.error
    ]
    note = "; ".join(filter(None, (note, *failed)))
    ours, target = all_series[0], f"best peer / ours >= {least:g}"
    if not ours.usable:
        return Line(goal, work, target, ours=FAILED, met=False, note=ours.error, series=all_series, alone=alone)
    line = Line(goal, work, target, spread(ours, value), NO_PEER, note=note, series=all_series, alone=alone)
    best = best_peer(all_series, value)
    if best is None:
        return line
    ratio = best.median(value) / ours.median(value)
    return replace(
        line,
        best=f"{best.contender.title}: {spread(best, value)}",
        figure=f"{ratio:.2f}x",
        met=ratio >= least,
        facts={"ratio": ratio},
    )
