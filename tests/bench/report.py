"""The report of a run: a table to paste, all figures behind it, and the same as JSON.

A run of some goals, or formats, adds to the last report if that had the same rows, rounds, machine and versions: all
goals at full size take hours. The report says of which code each goal is.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.outcome import Line, seconds, seconds_between
from tests.bench.settings import Settings

Told = Mapping[str, Any]
"""A line as the JSON report has it."""

_JSON = "report.json"
_TOLD = {*Line(0, "", "").summary(), "code"}
_COMPARED = (1, 3, 5, 6, 7)
"""Goals of which peers are a part."""
_CODE = "tailrace"
"""What may differ between the machine of a report and of what is added to it."""


def table(lines: Sequence[Told]) -> str:
    """The compact table: one line a goal and kind of work."""
    rows = ["| # | work | ours | best peer, or what it is held against | figure | goal | met |"]
    rows.append("|---|---|---|---|---|---|---|")
    for line in lines:
        met = "not measured" if line["met"] is None else "yes" if line["met"] else "**no**"
        cells = (line["goal"], line["work"], line["ours"], line["best"], line["figure"], line["target"], met)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def everyone(lines: Sequence[Told]) -> str:
    """The medians of all who were compared, in seconds: one line a goal and kind of work."""
    compared = [line for line in lines if line["goal"] in _COMPARED and line["series"]]
    titles = list(dict.fromkeys(series["title"] for line in compared for series in line["series"]))
    rows = [f"| # | work | {' | '.join(titles)} |", f"|---|---|{'---|' * len(titles)}"]
    for line in compared:
        figures = {series["title"]: _median(series, alone=line["alone"]) for series in line["series"]}
        cells = (figures.get(title, "-") for title in titles)
        rows.append(f"| {line['goal']} | {line['work']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _median(series: Told, *, alone: bool) -> str:
    return "failed" if "error" in series else seconds(series["work" if alone else "wall"]["median"])


def earlier(settings: Settings, machine: Told) -> list[Told]:
    """The lines of the last report for goals and formats that are not asked for now, if it is of such a run."""
    try:
        found = json.loads((settings.folder / _JSON).read_text(encoding="utf-8"))
        same = found["settings"] == _told(settings) and _but_code(found["machine"]) == _but_code(machine)
        # Of older code, lines may say less.
        return [line for line in found["lines"] if same and line.keys() == _TOLD and not _asked(line, settings)]
    except (FileNotFoundError, ValueError, KeyError):
        return []


def write(
    settings: Settings, machine: Told, lines: Sequence[Line], before: Sequence[Told], *, took: float
) -> list[Told]:
    """Write report.md and report.json with the lines that came ``before``; returns all in the order of the goals."""
    all_lines = [*before, *({**line.summary(), "code": machine[_CODE]} for line in lines)]
    all_lines.sort(key=lambda line: (line["goal"], "pandas" in line["work"], line["format"]))
    about = f"{settings.rows:,} rows, {settings.rounds} rounds"
    head = [f"# Benchmark: {about}", "", *(f"- {name}: {value}" for name, value in _but_code(machine).items())]
    for code in dict.fromkeys(line["code"] for line in all_lines):
        goals = dict.fromkeys(str(line["goal"]) for line in all_lines if line["code"] == code)
        head.append(f"- {_CODE} {code}: goals {', '.join(goals)}")
    head += [f"- the last run: {took / 60:.0f} minutes", ""]
    notes = [f"- {line['goal']}, {line['work']}: {line['note']}" for line in all_lines if line["note"]]
    parts = [*head, table(all_lines), "", "Medians, with the least and the most of the rounds.", ""]
    parts += [everyone(all_lines), "", "6 and 7: the work alone, without the start of a process.", "", *notes, ""]
    for line in all_lines:
        if line["series"]:
            parts += [f"## {line['goal']}: {line['work']}", "", *_figures(line["series"]), ""]
    settings.folder.mkdir(parents=True, exist_ok=True)
    (settings.folder / "report.md").write_text("\n".join(parts), encoding="utf-8")
    told = {"settings": _told(settings), "seconds": took, "machine": dict(machine), "lines": all_lines}
    (settings.folder / _JSON).write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    return all_lines


def _asked(line: Told, settings: Settings) -> bool:
    return line["goal"] in settings.goals and line["format"] in ("", *settings.formats)


def _told(settings: Settings) -> dict[str, int]:
    return {"rows": settings.rows, "rounds": settings.rounds, "seed": settings.seed}


def _but_code(machine: Told) -> dict[str, Any]:
    return {name: value for name, value in machine.items() if name != _CODE}


def _figures(series: Sequence[Told]) -> list[str]:
    rows = ["| | whole process | work alone | CPU s | emulator's CPU s | peak MB | MB written | output |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for one in series:
        cells = f"- | - | - | - | - | - | {_plain(one['error'])}" if "error" in one else _cells(one)
        rows.append(f"| {one['title']} | {cells} |")
    return rows


def _cells(series: Told) -> str:
    wall, work = series["wall"], series["work"]
    cells = (
        seconds_between(wall["median"], wall["min"], wall["max"]),
        seconds_between(work["median"], work["min"], work["max"]),
        f"{series['cpu']:.1f}",
        f"{series['emulatorCpu']:.1f}",
        f"{series['peakMb']:.0f}",
        f"{series['bytes'] / 1e6:,.1f}",
        "checked" if series["checked"] else "none",
    )
    return " | ".join(cells)


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
