"""The report of a run: a table to paste, all figures behind it, and the same as JSON."""

import json
from collections.abc import Mapping, Sequence

from tests.bench.outcome import Line, spread
from tests.bench.series import Series, work
from tests.bench.settings import FOLDER, Settings


def table(lines: Sequence[Line]) -> str:
    """The compact table: one line a goal and kind of work."""
    rows = ["| # | work | ours | best peer, or what it is held against | figure | goal | met |"]
    rows.append("|---|---|---|---|---|---|---|")
    for line in lines:
        met = "not measured" if line.met is None else "yes" if line.met else "**no**"
        cells = (line.goal, line.work, line.ours, line.best, line.figure, line.target, met)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def write(settings: Settings, machine: Mapping[str, str], lines: Sequence[Line], *, seconds: float) -> str:
    """Write report.md and report.json; returns the text of the first."""
    about = f"{settings.rows:,} rows, {settings.rounds} rounds, {seconds / 60:.0f} minutes"
    head = [f"# Benchmark: {about}", "", *(f"- {name}: {value}" for name, value in machine.items()), ""]
    notes = [f"- {line.goal}, {line.work}: {line.note}" for line in lines if line.note]
    parts = [*head, table(lines), "", "Medians, with the least and the most of the rounds.", "", *notes, ""]
    for line in lines:
        if line.series:
            parts += [f"## {line.goal}: {line.work}", "", *_figures(line), ""]
    text = "\n".join(parts)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "report.md").write_text(text, encoding="utf-8")
    told = {
        "rows": settings.rows,
        "rounds": settings.rounds,
        "seconds": seconds,
        "machine": dict(machine),
        "lines": [line.summary() for line in lines],
    }
    (FOLDER / "report.json").write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    return text


def _figures(line: Line) -> list[str]:
    rows = ["| | whole process | work alone | CPU s | emulator's CPU s | peak MB | MB written | output |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for series in line.series:
        if not series.usable:
            rows.append(f"| {series.contender.title} | - | - | - | - | - | - | {_plain(series.error)} |")
            continue
        rows.append(f"| {series.contender.title} | {_cells(series)} |")
    return rows


def _cells(series: Series) -> str:
    emulator = series.median(lambda sample: sample.emulator_cpu)
    cells = (
        spread(series),
        spread(series, work),
        f"{series.cpu():.1f}",
        f"{emulator:.1f}",
        f"{series.peak_mb:.0f}",
        f"{series.samples[-1].size / 1e6:,.1f}",
        "checked" if series.checked else "none",
    )
    return " | ".join(cells)


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
