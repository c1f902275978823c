"""Goal 8: the same request again, answered from the finished object."""

import signal
import statistics
from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.outcome import Line, spread_of
from tests.bench.progress import cost_of
from tests.bench.service import Client, Service, export_path
from tests.bench.settings import SMALL_ROWS, Settings

GOALS = (8,)
_MOST_ROWS = 1_000_000
"""So that the files of all rounds fit in memory; with fewer rows the goal is harder."""
_LEAST = 100.0
_MOST_SECONDS = 0.020
_TIMES = 20
_CLIENTS = 16
_LEAST_A_SECOND = 1_000
_REQUESTS = 2_000


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(settings.rows, settings.rounds) + cost_of(0, 3 * settings.rounds)


def run(bench: Bench) -> list[Line]:
    """By one client, and by sixteen at once."""
    return [*_by_one(bench), *_by_many(bench)]


def _by_one(bench: Bench) -> Iterator[Line]:
    """In each round the first request makes the file, and twenty more find it."""
    # The store keeps the files, since the service opens one before it answers with it.
    data = bench.data(min(bench.settings.rows, _MOST_ROWS))
    bench.store.keep(on=True)
    firsts, seconds_again, later = [], [], []
    service = Service(bench.store.connection_string)
    service.start()
    try:
        client = Client(service)
        for number in range(bench.settings.rounds):
            # Another request each time, and all of the rows in each.
            filters = [{"field": "id", "operator": "GREATER_THAN_OR_EQUAL", "value": -1 - number}]
            times = [client.export(data.workflow, format="csv", filters=filters)[0] for _ in range(1 + _TIMES)]
            firsts.append(times[0])
            seconds_again.append(times[1])
            later += times[2:]
            status = f"first {times[0]:.2f} s, second {times[1] * 1000:.1f} ms"
            bench.progress.step(f"again | round {number + 1}/{bench.settings.rounds} | {status}", cost_of(data.rows, 1))
        client.close()
    finally:
        service.stop(signal.SIGTERM)
        bench.store.empty()
        bench.store.keep(on=False)
    second = statistics.median(seconds_again)
    ratio = statistics.median(firsts) / second
    yield Line(
        8,
        f"the same request again, CSV, {data.rows:,} rows, over HTTP, ideal store",
        f"first / second >= {_LEAST:g}, second <= {_MOST_SECONDS * 1000:.0f} ms",
        ours=spread_of(seconds_again),
        best=f"first: {spread_of(firsts)}",
        figure=f"{ratio:.0f}x",
        met=ratio >= _LEAST and second <= _MOST_SECONDS,
        note=f"later ones {statistics.median(later) * 1000:.1f} ms",
        facts={"first": firsts, "second": seconds_again, "later": later, "ratio": ratio},
    )


def _by_many(bench: Bench) -> Iterator[Line]:
    data = bench.data(SMALL_ROWS)
    path = export_path(data.workflow, format="csv")
    service = Service()
    service.start()
    rates, times = [], []
    try:
        service.load([path] * _CLIENTS, _CLIENTS)
        for number in range(bench.settings.rounds):
            took, each = service.load([path] * _REQUESTS, _CLIENTS)
            rates.append(_REQUESTS / took)
            times += each
            status = f"{rates[-1]:.0f} a second"
            bench.progress.step(f"again, 16 clients | round {number + 1} | {status}", cost_of(0, 3))
    finally:
        service.stop(signal.SIGTERM)
        bench.clean()
    rate = statistics.median(rates)
    yield Line(
        8,
        f"the same request again, {_CLIENTS} clients, {SMALL_ROWS:,} rows, CSV, directory",
        f">= {_LEAST_A_SECOND:,} a second",
        ours=f"{rate:.0f} a second ({min(rates):.0f} - {max(rates):.0f})",
        figure=f"{rate:.0f} a second",
        met=rate >= _LEAST_A_SECOND,
        note=f"a request {spread_of(times)}; the clients take their share of the same cores",
        facts={"rates": rates},
    )
