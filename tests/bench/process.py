"""One measured process: the time and processor time of its work, and its peak memory."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.settings import ROOT

LONGEST_SECONDS = 1800.0


@dataclass(frozen=True)
class Sample:
    """What one process took; an error means that there are no figures.

    ``work`` and ``cpu`` are seconds of wall time and of processor time, without its start and imports, as the program
    itself reports them. ``store_cpu`` is the processor time of the store meanwhile. The peak counts the largest process
    of its family. It cannot be below the memory of the program that started it, so that one is kept small: it holds no
    data and loads no engine.
    """

    work: float = 0.0
    cpu: float = 0.0
    store_cpu: float = 0.0
    peak_mb: float = 0.0
    size: int = 0
    error: str = ""
    printed: Mapping[str, object] | None = None


_NOT_INHERITED = ("TAILRACE_", "AZURE_", "PYTHONDONTWRITEBYTECODE")
"""Settings of the caller; without compiled files, every start would compile our modules again."""


def environment() -> dict[str, str]:
    """The environment of every measured process: settings of the caller are not inherited."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    return {**kept, "PYTHONPATH": str(ROOT)}


def run_measured(command: Sequence[str], *, store: int | None = None, longest: float = LONGEST_SECONDS) -> Sample:
    """Run a program and measure it; ``store`` is the process whose processor time is measured as well."""
    before = cpu_seconds(store)
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    timer = threading.Timer(longest, _kill_family, (process.pid,))
    timer.start()
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read() if process.stderr else ""))
    reader.start()
    try:
        output = process.stdout.read() if process.stdout else ""
        # wait4 is the one way to the memory of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        _kill_family(process.pid)
        raise
    finally:
        timer.cancel()
    reader.join()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    printed = _printed(output)
    if process.returncode != 0 or printed is None:
        return Sample(error=_reason(process.returncode, errors[0], timed_out=wall >= longest))
    return Sample(
        work=float(str(printed.get("work", 0.0))),
        cpu=float(str(printed.get("cpu", 0.0))),
        store_cpu=cpu_seconds(store) - before,
        peak_mb=usage.ru_maxrss / 1024,
        printed=printed,
    )


class Helper:
    """A program beside the bench that answers a line with a line, from construction to `close`."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment(),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def line(self) -> str:
        """The next line of its output. Raises RuntimeError if it ended."""
        text = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not text:
            raise RuntimeError("a program that helps the bench has ended")
        return text

    def ask(self, text: str) -> str:
        """Its answer to a line."""
        if self._process.stdin is None:
            raise RuntimeError("a program that helps the bench has no input")
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()
        return self.line()

    def close(self) -> None:
        """End it; it ends by itself, too, when the bench does."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def cpu_seconds(pid: int | None) -> float:
    """The processor time that a running process has used."""
    if pid is None:
        return 0.0
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123  # no file of a disk
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """The memory that a running process holds now."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123  # no file of a disk
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _kill_family(pid: int) -> None:
    """End the program and what it started; it leads a group of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _printed(output: str) -> dict[str, object] | None:
    lines = output.strip().splitlines()
    try:
        printed = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return printed if isinstance(printed, dict) else None


def _reason(code: int, errors: str, *, timed_out: bool) -> str:
    if timed_out:
        return "took too long and was ended"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if not line.startswith("This issue was likely")), "no word of why")
    return f"exit {code}: {last[:240]}"
