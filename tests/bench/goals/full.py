"""Goals 1 and 2: a full export in each format, against the peers and against the limit of the machine."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.bench.bench import Bench
from tests.bench.contenders import ENCODE_ONLY, OURS, PANDAS, PEERS, UPLOAD_ONLY, Contender
from tests.bench.data import Dataset
from tests.bench.job import Job
from tests.bench.outcome import FAILED, Line, against_peers, seconds, spread
from tests.bench.progress import cost_of
from tests.bench.series import Series
from tests.bench.settings import FOLDER, Settings

GOALS = (1, 2)
_LEAST = 1.2
_MOST = 1.15
_KEPT = FOLDER / "kept"
"""Where the file lies that is uploaded without being encoded."""


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    contenders = len(_contenders(settings))
    extra = 2 * len(settings.formats) if 1 in settings.goals and settings.pandas_rows != settings.rows else 0
    return settings.rounds * (
        cost_of(settings.rows, len(settings.formats) * contenders) + cost_of(settings.pandas_rows, 1) * extra
    )


def run(bench: Bench) -> list[Line]:
    """All formats, each with its contenders taking turns."""
    lines: list[Line] = []
    for format_name in bench.settings.formats:
        lines += (replace(line, format=format_name) for line in _lines(bench, format_name))
    return lines


def _lines(bench: Bench, format_name: str) -> Iterator[Line]:
    settings = bench.settings
    data = bench.data(settings.rows)
    series = _measure(bench, data, format_name)
    what = f"{format_name.upper()}, {data.rows:,} rows"
    if 1 in settings.goals:
        rivals = [found for found in series if found.contender is OURS or found.contender.peer]
        yield against_peers(1, f"full export, {what}", rivals, least=_LEAST)
    if 2 in settings.goals:
        named = {found.contender.name: found for found in series}
        yield from against_limits(what, named["tailrace"], named["encode"], named["upload"])
    if 1 in settings.goals and settings.pandas_rows != settings.rows:
        yield _pandas(bench, format_name)


def _contenders(settings: Settings) -> list[Contender]:
    contenders = [OURS]
    if 1 in settings.goals:
        contenders += [*PEERS, *([PANDAS] if settings.pandas_rows == settings.rows else [])]
    if 2 in settings.goals:
        contenders += [ENCODE_ONLY, UPLOAD_ONLY]
    return contenders


def _measure(bench: Bench, data: Dataset, format_name: str) -> list[Series]:
    job = bench.job(data, format_name)
    entries = [(contender, job) for contender in _contenders(bench.settings)]
    if 2 in bench.settings.goals:
        file = _export_to_disk(bench, job)
        entries = [(one, job.but(file=file) if one is UPLOAD_ONLY else job) for one, _ in entries]
    try:
        return bench.compare(f"full {format_name}", entries, data.rows)
    finally:
        _remove(_KEPT)


def _export_to_disk(bench: Bench, job: Job) -> str:
    """Our file of the job, for the upload alone."""
    _remove(_KEPT)
    sample = bench.measure(OURS.command(job.but(exports=str(_KEPT))))
    if sample.error:
        # What cannot be exported cannot be uploaded; the table says so.
        return str(_KEPT / "missing")
    return str(max((path for path in _KEPT.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size))


def against_limits(what: str, ours: Series, encode: Series, upload: Series) -> Iterator[Line]:
    """The limit by the processor time of the two halves; and by that of the emulator too, which has the same cores."""
    failed = next((found for found in (ours, encode, upload) if not found.usable), None)
    emulator = 0.0 if failed else upload.median(lambda sample: sample.emulator_cpu)
    for work, theirs in (("against the limit", 0.0), ("against the limit with the emulator's CPU", emulator)):
        line = Line(2, f"{work}, {what}", f"ours <= {_MOST} x limit", series=(ours, encode, upload))
        if failed:
            yield replace(line, ours=FAILED, met=False if failed is ours else None, note=failed.error)
        else:
            yield _against(line, theirs)


def _against(line: Line, emulator: float) -> Line:
    ours, encode, upload = line.series
    cores = os.cpu_count() or 1
    parts = {
        "encode only": encode.median(),
        "upload only": upload.median(),
        f"CPU seconds / {cores} cores": (encode.cpu() + upload.cpu() + emulator) / cores,
    }
    name, limit = max(parts.items(), key=lambda item: item[1])
    ratio = ours.median() / limit
    return replace(
        line,
        ours=spread(ours),
        best=f"{seconds(limit)} ({name})",
        figure=f"{ratio:.2f}x",
        met=ratio <= _MOST,
        note=", ".join(f"{key} {seconds(value)}" for key, value in parts.items()),
        facts={"ratio": ratio, "limit": limit, **parts},
    )


def _pandas(bench: Bench, format_name: str) -> Line:
    data = bench.data(bench.settings.pandas_rows)
    job = bench.job(data, format_name)
    series = bench.compare(f"pandas {format_name}", [(OURS, job), (PANDAS, job)], data.rows)
    return against_peers(1, f"full export, {format_name.upper()}, {data.rows:,} rows, pandas", series, least=_LEAST)


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
