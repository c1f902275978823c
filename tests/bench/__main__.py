"""``make bench``: measure, and write ``.tailrace/bench/report.md``, ``report.json``, ``report.svg``, ``report.png``."""

import argparse
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from tests.bench import report
from tests.bench.bench import Bench
from tests.bench.goals import (
    account,
    again,
    changes,
    compressed,
    download,
    full,
    growth,
    line,
    lists,
    page,
    publish,
    selected,
    sheets,
    small,
    sql,
    statement,
)
from tests.bench.ideal import Ideal
from tests.bench.machine import machine
from tests.bench.memory import MemoryInUse
from tests.bench.outcome import FAILED, Line
from tests.bench.process import environment
from tests.bench.progress import Progress
from tests.bench.settings import ALL_GOALS, FOLDER, FORMATS, PEERS_PYTHON, Settings
from tests.helpers.azurite import available

_WORK: tuple[ModuleType, ...] = (
    full,
    line,
    compressed,
    growth,
    selected,
    again,
    small,
    download,
    statement,
    account,
    lists,
    publish,
    sql,
    sheets,
    changes,
    page,
)


def main() -> None:
    """Run the goals that were selected; a failure stands in the table, and the others go on."""
    settings = _settings()
    reason = available()
    if reason is not None:
        raise SystemExit(reason)
    if not PEERS_PYTHON.is_file():
        raise SystemExit("The peers are not installed: run it by `make bench`.")
    work = [module for module in _WORK if set(module.GOALS) & set(settings.goals)]
    progress = Progress(sum(module.cost(settings) for module in work))
    goals = ", ".join(map(str, settings.goals))
    progress.note(f"{settings.rows:,} rows, {settings.rounds} rounds, goals {goals}")
    lines: list[Line] = []
    with _alone(), Ideal() as store, MemoryInUse(kept=not settings.cold) as memory:
        ceiling = store.ceiling()
        progress.note(f"the ideal store {ceiling}")
        found = machine(memory)
        all_lines = before = report.earlier(settings, found)
        bench = Bench(settings, store, memory, progress)
        for module in work:
            lines += _run(bench, module)
            # After each, so that a run that is broken off leaves what it has.
            all_lines = report.write(settings, found, lines, before, took=progress.seconds)
            store.empty()
        bench.close()
    _plot(settings)
    about = f"The ideal store {ceiling}."
    tables = f"{report.table(all_lines)}\n\n{report.everyone(all_lines)}\n\n{about}"
    sys.stdout.write(f"\n{tables}\n\nAll figures: {settings.folder / 'report.md'}\n")


@contextmanager
def _alone() -> Iterator[None]:
    """Two runs at once would measure each other, and remove each other's files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("Another run of the benchmark is under way here.") from None
        yield


def _run(bench: Bench, module: ModuleType) -> list[Line]:
    try:
        lines: list[Line] = module.run(bench)
    except Exception as error:  # noqa: BLE001  # one goal that breaks must not cost the others
        bench.progress.note(f"goals {module.GOALS} failed: {error!r}")
        goals = [goal for goal in module.GOALS if goal in bench.settings.goals]
        name = module.__name__.rpartition(".")[2]
        return [Line(goal, name, "-", FAILED, note=f"{type(error).__name__}: {error}") for goal in goals]
    return lines


def _plot(settings: Settings) -> None:
    command = [str(PEERS_PYTHON), "-m", "tests.bench.plots", str(settings.folder / "report.json")]
    subprocess.run(command, env=environment() | {"MPLCONFIGDIR": str(FOLDER / "plots")}, check=False)


def _settings() -> Settings:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Tailrace and its peers.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--goals", default=",".join(map(str, ALL_GOALS)), help="for example 1,6")
    parser.add_argument("--formats", default=",".join(FORMATS), help="for goals 1 to 3, for example csv")
    parser.add_argument("--large", type=int, default=5, help="the largest size in multiples of ROWS; 0 skips it")
    parser.add_argument("--workflows", type=int, default=10_000, help="for goal 13")
    parser.add_argument("--cold", action="store_true", help="take memory as it is found: for a short run")
    parser.add_argument("--into", default=".", help="the folder of the report, below .tailrace/bench/")
    options = parser.parse_args()
    # The figures are for a machine that does nothing else.
    load = os.getloadavg()[0]
    if load > 0.5:
        sys.stdout.write(f"Note: the load of this machine is {load:.1f} before the start.\n")
    try:
        goals = tuple(sorted({int(goal) for goal in options.goals.split(",")}))
        formats = tuple(options.formats.split(","))
        return Settings(
            options.rows,
            options.rounds,
            goals,
            options.large,
            formats,
            options.workflows,
            cold=options.cold,
            into=options.into,
        )
    except ValueError as error:
        raise SystemExit(f"{parser.prog}: {error}") from error


if __name__ == "__main__":
    main()
