"""The report of a run: a table to paste, all figures behind it, and the same as JSON.

A run of some goals, or formats, adds to the last report if that had the same rows, rounds, machine and versions: all
goals at full size take hours. The report says of which code each goal is.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.contenders import OURS
from tests.bench.outcome import Line, seconds, seconds_between
from tests.bench.settings import Settings

LineJson = Mapping[str, Any]
"""A line as the JSON report has it."""

_JSON = "report.json"
_MEMBERS = {*Line(0, "", "").summary(), "code"}
_CODE = "tailrace"
"""What may differ between the machine of a report and of what is added to it."""
_MEMORY_GOAL, _MOST_MB = 4, 300
_LINE_GOAL = 3
"""The process that is measured there is the client."""
_SUMMARY = "all"
"""The format of a line that sums the others up, so it is made anew each time."""


def table(lines: Sequence[LineJson]) -> str:
    """The compact table: where peers are faster, then one line a goal and kind of work."""
    rows = ["| # | work | ours | best peer, or what it is held against | figure | goal | met |"]
    rows.append("|---|---|---|---|---|---|---|")
    for line in lines:
        met = "not measured" if line["met"] is None else "yes" if line["met"] else "**no**"
        cells = (line["goal"], line["work"], line["ours"], line["best"], line["figure"], line["target"], met)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([faster(lines), "", *rows])


def faster(lines: Sequence[LineJson]) -> str:
    """Where a peer is faster than we are, by how much, the furthest first."""
    compared = [line for line in lines if "peer" in line["facts"]]
    lost = sorted((line for line in compared if line["facts"]["ratio"] < 1), key=lambda line: line["facts"]["ratio"])
    where = "; ".join(
        f"{line['work']}: {line['facts']['peer']}, {1 / line['facts']['ratio']:.2f} times as fast" for line in lost
    )
    return f"**A peer is faster in {len(lost)} of {len(compared)} comparisons**{': ' * bool(lost)}{where}."


def everyone(lines: Sequence[LineJson]) -> str:
    """The medians of all who were compared, in seconds: one line a goal and kind of work."""
    compared = [line for line in lines if len(line["series"]) > 1 and "rows" not in line["facts"]]
    titles = list(dict.fromkeys(series["title"] for line in compared for series in line["series"]))
    rows = [f"| # | work | {' | '.join(titles)} |", f"|---|---|{'---|' * len(titles)}"]
    for line in compared:
        figures = {series["title"]: _median(series) for series in line["series"]}
        cells = (figures.get(title, "-") for title in titles)
        rows.append(f"| {line['goal']} | {line['work']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _median(series: LineJson) -> str:
    return "failed" if "error" in series else seconds(series["work"]["median"])


def earlier(settings: Settings, machine: LineJson) -> list[LineJson]:
    """The lines of the last report for goals and formats that are not measured now, if it is of such a run."""
    try:
        found = json.loads((settings.folder / _JSON).read_text(encoding="utf-8"))
        same = found["settings"] == _settings_json(settings) and _but_code(found["machine"]) == _but_code(machine)
        # Of older code, lines may say less.
        return [
            line
            for line in found["lines"]
            if same and line.keys() == _MEMBERS and not _is_measured_again(line, settings)
        ]
    except (FileNotFoundError, ValueError, KeyError):
        return []


def write(
    settings: Settings, machine: LineJson, lines: Sequence[Line], before: Sequence[LineJson], *, took: float
) -> list[LineJson]:
    """Write report.md and report.json with the lines that came ``before``; returns all in the order of the goals."""
    all_lines = [*before, *({**line.summary(), "code": machine[_CODE]} for line in lines)]
    memory = of_memory(all_lines)
    if memory is not None:
        all_lines.append({**memory.summary(), "code": machine[_CODE]})
    all_lines.sort(key=lambda line: (line["goal"], line["format"]))
    about = f"{settings.rows:,} rows, {settings.rounds} rounds"
    head = [f"# Benchmark: {about}", "", *(f"- {name}: {value}" for name, value in _but_code(machine).items())]
    for code in dict.fromkeys(line["code"] for line in all_lines):
        goals = dict.fromkeys(str(line["goal"]) for line in all_lines if line["code"] == code)
        head.append(f"- {_CODE} {code}: goals {', '.join(goals)}")
    head += [f"- the last run: {took / 60:.0f} minutes", ""]
    notes = [f"- {line['goal']}, {line['work']}: {line['note']}" for line in all_lines if line["note"]]
    parts = [*head, table(all_lines), ""]
    parts += ["Medians of the work, without the start of a process and its imports; with the least and the most.", ""]
    parts += [everyone(all_lines), "", *notes, ""]
    for line in all_lines:
        if line["series"]:
            parts += [f"## {line['goal']}: {line['work']}", "", *_figures(line["series"]), ""]
    settings.folder.mkdir(parents=True, exist_ok=True)
    (settings.folder / "report.md").write_text("\n".join(parts), encoding="utf-8")
    report = {"settings": _settings_json(settings), "seconds": took, "machine": dict(machine), "lines": all_lines}
    (settings.folder / _JSON).write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    return all_lines


def of_memory(lines: Sequence[LineJson]) -> Line | None:
    """Our largest peak in all exports that were measured, and in which; None if there is none."""
    peaks = [
        (series["peakMb"], line["work"])
        for line in lines
        for series in line["series"]
        if series["contender"] == OURS.name and "peakMb" in series and line["goal"] != _LINE_GOAL
    ]
    if not peaks:
        return None
    peak, work = max(peaks)
    return Line(
        _MEMORY_GOAL,
        "the largest peak of our memory in all exports above and below",
        f"<= {_MOST_MB} MB",
        ours=f"{peak:.0f} MB",
        figure=f"{peak:.0f} MB",
        met=peak <= _MOST_MB,
        note=f"in: {work}",
        format=_SUMMARY,
    )


def _is_measured_again(line: LineJson, settings: Settings) -> bool:
    again = line["goal"] in settings.goals and line["format"] in ("", *settings.formats)
    return again or line["format"] == _SUMMARY


def _settings_json(settings: Settings) -> dict[str, int]:
    return {
        "rows": settings.rows,
        "rounds": settings.rounds,
        "workflows": settings.workflows,
        "seed": settings.seed,
    }


def _but_code(machine: LineJson) -> dict[str, Any]:
    return {name: value for name, value in machine.items() if name != _CODE}


def _figures(series: Sequence[LineJson]) -> list[str]:
    rows = ["| | work | CPU s | the store's CPU s | peak MB | MB written | output |", "|---|---|---|---|---|---|---|"]
    for one in series:
        cells = f"- | - | - | - | - | {_plain(one['error'])}" if "error" in one else _cells(one)
        rows.append(f"| {one['title']} | {cells} |")
    return rows


def _cells(series: LineJson) -> str:
    work = series["work"]
    cells = (
        seconds_between(work["median"], work["min"], work["max"]),
        f"{series['cpu']:.2f}",
        f"{series['storeCpu']:.2f}",
        f"{series['peakMb']:.0f}",
        f"{series['bytes'] / 1e6:,.1f}",
        "verified" if series["checked"] else "none",
    )
    return " | ".join(cells)


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
