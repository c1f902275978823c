"""What came of one goal: one line of the table, and the series behind it."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tests.bench.series import Series, Value, best_peer, work

FAILED = "failed"
NO_PEER = "no peer finished"


@dataclass(frozen=True)
class Line:
    """One line of the table. ``met`` None: not measured, and ``note`` says why. ``format``, if there are several."""

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

    def summary(self) -> dict[str, object]:
        """All of it, for the JSON report."""
        return {
            "goal": self.goal,
            "format": self.format,
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


def spread(series: Series, value: Value = work) -> str:
    """A median and its spread."""
    return seconds_between(series.median(value), *series.spread(value))


def seconds_between(median: float, low: float, high: float) -> str:
    """A median, the least and the most."""
    return f"{seconds(median)} ({seconds(low)} - {seconds(high)})"


def spread_of(values: Sequence[float]) -> str:
    """The same, of seconds."""
    return seconds_between(statistics.median(values), min(values), max(values))


def against_peers(goal: int, what: str, series: Iterable[Series], *, least: float) -> Line:
    """The line of a goal "best peer / ours >= least"; the first series is ours."""
    all_series = tuple(series)
    failed = [
        f"{found.contender.title} could not be measured: {found.error}" for found in all_series[1:] if found.error
    ]
    ours, target, note = all_series[0], f"best peer / ours >= {least:g}", "; ".join(failed)
    if not ours.usable:
        return Line(goal, what, target, ours=FAILED, met=False, note=ours.error, series=all_series)
    line = Line(goal, what, target, spread(ours), NO_PEER, note=note, series=all_series)
    best = best_peer(all_series)
    if best is None:
        return line
    ratio = best.median() / ours.median()
    return replace(
        line,
        best=f"{best.contender.title}: {spread(best)}",
        figure=f"{ratio:.2f}x",
        met=ratio >= least,
        facts={"ratio": ratio, "peer": best.contender.title},
    )


def against_other(goal: int, what: str, ours: Series, other: Series, *, most: float) -> Line:
    """The line of a goal "ours / other <= most", where the other is a part of our own work."""
    line = Line(goal, what, f"ours <= {most:g} x {other.contender.title}", series=(ours, other))
    failed = next((found for found in (ours, other) if not found.usable), None)
    if failed is not None:
        return replace(line, ours=FAILED, met=False if failed is ours else None, note=failed.error)
    ratio = ours.median() / other.median()
    return replace(
        line,
        ours=spread(ours),
        best=f"{other.contender.title}: {spread(other)}",
        figure=f"{ratio:.2f}x",
        met=ratio <= most,
        facts={"ratio": ratio},
    )
