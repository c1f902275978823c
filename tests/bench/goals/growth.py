"""Goals 4 and 11: memory and time of the full export as CSV, from a tenth of the rows to a multiple of them."""

import math

from tests.bench.bench import Bench
from tests.bench.contenders import OURS
from tests.bench.outcome import FAILED, Line, seconds
from tests.bench.progress import cost_of
from tests.bench.series import Series
from tests.bench.settings import Settings

GOALS = (4, 11)
_FLAT = 1.2
_MOST_MB = 300
_EXPONENT = 1.05


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(_mean(settings), settings.runs * len(settings.sizes))


def run(bench: Bench) -> list[Line]:
    """Ours alone, the sizes in turns: what the machine does meanwhile is no growth."""
    sizes = bench.settings.sizes
    entries = [bench.entry(OURS, bench.job(bench.data(rows), "csv")) for rows in sizes]
    found = dict(zip(sizes, bench.compare("growth", entries, _mean(bench.settings)), strict=True))
    note = "" if bench.settings.large else "the largest size was skipped (LARGE=0)"
    failed = next((series.error for series in found.values() if not series.usable), "")
    lines = []
    for goal in GOALS:
        if goal in bench.settings.goals:
            if failed:
                lines.append(_failed(goal, failed, found))
            else:
                lines.append(_memory(found, note) if goal == 4 else of_time(found, note))
    return lines


def _mean(settings: Settings) -> int:
    return sum(settings.sizes) // len(settings.sizes)


def _sizes(found: dict[int, Series]) -> str:
    return " / ".join(f"{rows:,}" for rows in found) + " rows, CSV"


def _failed(goal: int, error: str, found: dict[int, Series]) -> Line:
    return Line(goal, _sizes(found), "", FAILED, met=False, note=error, series=tuple(found.values()))


def _memory(found: dict[int, Series], note: str) -> Line:
    peaks = [series.peak_mb for series in found.values()]
    ratio = max(peaks) / min(peaks)
    return Line(
        4,
        f"peak memory, {_sizes(found)}",
        f"flat within 20 %, <= {_MOST_MB} MB",
        ours=" / ".join(f"{peak:.0f} MB" for peak in peaks),
        figure=f"{ratio:.2f}x",
        met=ratio <= _FLAT and max(peaks) <= _MOST_MB,
        note=note,
        series=tuple(found.values()),
        facts={"rows": list(found), "peakMb": peaks, "ratio": ratio},
    )


def of_time(found: dict[int, Series], note: str) -> Line:
    """The line of goal 11: series by their rows, in order."""
    walls = [series.median() for series in found.values()]
    exponent = _slope([math.log(rows) for rows in found], [math.log(wall) for wall in walls])
    steps = [
        math.log(walls[place + 1] / walls[place]) / math.log(list(found)[place + 1] / list(found)[place])
        for place in range(len(walls) - 1)
    ]
    steps_text = "from size to size " + ", ".join(f"{step:.3f}" for step in steps)
    return Line(
        11,
        f"growth of time, {_sizes(found)}",
        f"exponent <= {_EXPONENT}",
        ours=" / ".join(map(seconds, walls)),
        figure=f"{exponent:.3f}",
        # The last step counts as well: what does not grow flattens the first one.
        met=max(exponent, steps[-1]) <= _EXPONENT,
        note="; ".join(filter(None, (steps_text, note))),
        series=tuple(found.values()),
        facts={"rows": list(found), "walls": walls, "exponent": exponent, "steps": steps},
    )


def _slope(xs: list[float], ys: list[float]) -> float:
    """Least squares."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
