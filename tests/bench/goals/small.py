"""Goal 9: a small export over HTTP, against the least that it can be."""

import signal
import statistics
import subprocess
import sys

from tests.bench.bench import Bench
from tests.bench.job import Job
from tests.bench.outcome import Line
from tests.bench.process import environment
from tests.bench.progress import cost_of
from tests.bench.service import Client, Service
from tests.bench.settings import ROOT, SMALL_ROWS, Settings

GOALS = (9,)
_MOST = 2.0
_WARM = 10
_TIMES = 20


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(0, settings.rounds)


def run(bench: Bench) -> list[Line]:
    """Turn by turn, both warm; every request is a new one, so that nothing is found finished."""
    data = bench.data(SMALL_ROWS)
    service = Service(bench.emulator)
    service.start()
    ours: list[float] = []
    bare: list[float] = []
    try:
        client = Client(service)
        with _bare(bench.job(data, "csv")) as process:
            for turn in range(_WARM + _TIMES * bench.settings.rounds):
                number = -1 - turn
                filters = [{"field": "id", "operator": "GREATER_THAN_OR_EQUAL", "value": number}]
                took, answer = client.export(data.workflow, format="csv", filters=filters)
                if answer["rowCount"] != SMALL_ROWS:
                    raise RuntimeError(f"the service exported {answer['rowCount']} rows")
                other = _ask(process, number)
                if turn >= _WARM:
                    ours.append(took)
                    bare.append(other)
                    if (turn - _WARM + 1) % _TIMES == 0:
                        told = f"{took * 1000:.0f} ms against {other * 1000:.0f} ms"
                        bench.progress.step(f"small | {turn + 1} requests | {told}", cost_of(0, 1))
        client.close()
    finally:
        service.stop(signal.SIGTERM)
        bench.emulator.empty()
    ratio = statistics.median(ours) / statistics.median(bare)
    return [
        Line(
            9,
            f"{SMALL_ROWS:,} rows over HTTP, CSV, whole request",
            f"ours <= {_MOST:g} x bare COPY + one upload",
            ours=_spread(ours),
            best=f"bare: {_spread(bare)}",
            figure=f"{ratio:.2f}x",
            met=ratio <= _MOST,
            note=f"medians of {len(ours)} requests; their middle half {_half(ours)} against {_half(bare)}",
            facts={"ours": ours, "bare": bare, "ratio": ratio},
        )
    ]


def _bare(job: Job) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.bare", job.text()]
    return subprocess.Popen(
        command, env=environment(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _ask(process: subprocess.Popen[str], number: int) -> float:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the other process has no pipes")
    process.stdin.write(f"{number}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def _half(values: list[float]) -> str:
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low * 1000:.1f} - {high * 1000:.1f} ms"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values) * 1000:.1f} ms ({min(values) * 1000:.1f} - {max(values) * 1000:.1f})"
