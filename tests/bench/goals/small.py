"""Goal 9: small exports over HTTP, each a new one: against the least that it can be, and by many clients."""

import signal
import statistics
from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.outcome import Line, spread_of
from tests.bench.process import Helper, cpu_seconds
from tests.bench.progress import cost_of
from tests.bench.service import Client, Service, export_path
from tests.bench.settings import SMALL_ROWS, Settings

GOALS = (9,)
_MOST = 2.0
_WARM = 10
_TIMES = 20
_MOST_SECONDS = 0.020
_CLIENTS = 16
_LEAST_A_SECOND = 100
_REQUESTS = 200


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(0, 10 * settings.rounds)


def run(bench: Bench) -> list[Line]:
    """Into the ideal store, and into a directory."""
    return [*_against_bare(bench), *_into_directory(bench)]


def _against_bare(bench: Bench) -> Iterator[Line]:
    """Turn by turn, both warm; every request is a new one, so that nothing is found finished."""
    data = bench.data(SMALL_ROWS)
    service = Service(bench.store.connection_string)
    service.start()
    least = Helper("tests.bench.bare", bench.job(data, "csv").text())
    ours: list[float] = []
    bare: list[float] = []
    try:
        client = Client(service)
        for turn in range(_WARM + _TIMES * bench.settings.rounds):
            took = _export(client, data.workflow, turn)
            other = float(least.ask(str(-1 - turn)))
            if turn >= _WARM:
                ours.append(took)
                bare.append(other)
        client.close()
    finally:
        least.close()
        service.stop(signal.SIGTERM)
        bench.store.empty()
    ratio = statistics.median(ours) / statistics.median(bare)
    status = f"{spread_of(ours)} against {spread_of(bare)}"
    bench.progress.step(f"small, ideal store | {len(ours)} requests | {status}", cost_of(0, 3 * bench.settings.rounds))
    yield Line(
        9,
        f"different exports of {SMALL_ROWS:,} rows over HTTP, CSV, one client, ideal store",
        f"ours <= {_MOST:g} x bare COPY + one upload",
        ours=spread_of(ours),
        best=f"bare: {spread_of(bare)}",
        figure=f"{ratio:.2f}x",
        met=ratio <= _MOST,
        note=f"medians of {len(ours)} requests",
        facts={"ours": ours, "bare": bare, "ratio": ratio},
    )


def _into_directory(bench: Bench) -> Iterator[Line]:
    data = bench.data(SMALL_ROWS)
    service = Service()
    # The default queue holds fewer requests of one team.
    service.environment["TAILRACE_EXPORT_QUEUE_SIZE"] = str(4 * _CLIENTS)
    service.start()
    alone, rates, costs = [], [], []
    try:
        client = Client(service)
        for turn in range(_WARM + _TIMES * bench.settings.rounds):
            took = _export(client, data.workflow, turn)
            if turn >= _WARM:
                alone.append(took)
        client.close()
        for number in range(bench.settings.rounds):
            first = 1_000_000 + number * _REQUESTS
            paths = [_path(data.workflow, first + step) for step in range(_REQUESTS)]
            before = cpu_seconds(service.pid)
            took, _ = service.load(paths, _CLIENTS)
            rates.append(_REQUESTS / took)
            costs.append((cpu_seconds(service.pid) - before) / _REQUESTS)
            status = f"{rates[-1]:.0f} a second, {costs[-1] * 1000:.0f} ms of CPU each"
            bench.progress.step(f"small, directory | round {number + 1} | {status}", cost_of(0, 7))
    finally:
        service.stop(signal.SIGTERM)
        bench.clean()
    median, rate = statistics.median(alone), statistics.median(rates)
    what = f"different exports of {SMALL_ROWS:,} rows over HTTP, CSV"
    yield Line(
        9,
        f"{what}, one client, directory",
        f"<= {_MOST_SECONDS * 1000:.0f} ms",
        ours=spread_of(alone),
        figure=f"{median * 1000:.1f} ms",
        met=median <= _MOST_SECONDS,
        facts={"ours": alone},
    )
    yield Line(
        9,
        f"{what}, {_CLIENTS} clients, directory",
        f">= {_LEAST_A_SECOND} a second",
        ours=f"{rate:.0f} a second ({min(rates):.0f} - {max(rates):.0f})",
        figure=f"{rate:.0f} a second",
        met=rate >= _LEAST_A_SECOND,
        note=f"{statistics.median(costs) * 1000:.0f} ms of the service's processor time each",
        facts={"rates": rates, "cpu": costs},
    )


def _path(workflow: str, turn: int) -> str:
    """All rows, by a filter that no other turn has."""
    filters = [{"field": "id", "operator": "GREATER_THAN_OR_EQUAL", "value": -1 - turn}]
    return export_path(workflow, format="csv", filters=filters)


def _export(client: Client, workflow: str, turn: int) -> float:
    took, answer = client.get(_path(workflow, turn))
    if answer["rowCount"] != SMALL_ROWS:
        raise RuntimeError(f"the service exported {answer['rowCount']} rows")
    return took
