"""Goal 3: what a user waits for, from the request to the finished file on a disk, over a line that is not loopback."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from tests.bench.bench import SCRATCH, Bench, Entry
from tests.bench.contenders import OURS, PEERS, Contender
from tests.bench.ideal import CONTAINER
from tests.bench.job import Job
from tests.bench.outcome import Line, against_peers
from tests.bench.process import Sample, run_measured
from tests.bench.progress import cost_of
from tests.bench.proxy import Proxy
from tests.bench.service import Service, export_path
from tests.bench.settings import Settings
from tests.helpers.azurite import ACCOUNT, connection_string
from tests.helpers.server import KEY

GOALS = (3,)
_LEAST = 1.0
_SLOWER = 4
"""How much longer a measurement takes than without the line, roughly."""


@dataclass(frozen=True)
class Kind:
    """A line of 15 ms: its rate, whether all connections share it, and whether the exporter is behind it, too."""

    title: str
    rate: int
    shared: bool
    exporter: bool


KINDS = (
    Kind("15 ms, 50 MB/s a connection, to the store and to the client", 50_000_000, shared=False, exporter=True),
    Kind("15 ms, 20 MB/s in all, to the client", 20_000_000, shared=True, exporter=False),
)


class SlowLine:
    """A line of 15 ms and a service behind it. ``store_port`` and ``exporter_port`` lead to the store."""

    def __init__(self, bench: Bench, kind: Kind) -> None:
        self._bench, self._kind = bench, kind
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        kind, store = self._kind, self._bench.store
        with ExitStack() as stack:
            stack.callback(store.empty)
            self.store_port = stack.enter_context(Proxy(store.port, rate=kind.rate, shared=kind.shared)).port
            self.exporter_port = self.store_port if kind.exporter else store.port
            service = Service(connection_string(self.exporter_port))
            to_service = stack.enter_context(Proxy(service.port, rate=kind.rate, shared=kind.shared))
            self._base = f"http://127.0.0.1:{to_service.port}"
            service.environment["TAILRACE_BASE_URL"] = self._base
            service.start()
            stack.callback(service.stop, signal.SIGTERM)
            stack.callback(store.keep, on=False)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def fetched(self, contender: Contender, job: Job) -> Entry:
        """Our export of a job as a client waits for it: one request, and the download that it leads to."""
        url = self._base + export_path(job.workflow, format=job.format, compression=job.compression)

        def measure() -> Sample:
            self._bench.store.keep(on=True)
            return _fetch(self._bench, url, "--key", KEY)

        return contender, job, measure


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    each = len(KINDS) * len(_formats(settings)) * (1 + len(PEERS)) * settings.runs
    return cost_of(settings.line_rows, each) * _SLOWER


def run(bench: Bench) -> list[Line]:
    """Each line and format: our service, and each peer with a download of its blob from the store."""
    return [line for kind in KINDS for line in _lines(bench, kind)]


def _formats(settings: Settings) -> list[str]:
    """A text and Parquet: over a line, only the number of bytes differs between JSON and CSV."""
    return [format_name for format_name in settings.formats if format_name != "json"]


def _lines(bench: Bench, kind: Kind) -> Iterator[Line]:
    data = bench.data(bench.settings.line_rows)
    with SlowLine(bench, kind) as line:
        for format_name in _formats(bench.settings):
            job = bench.job(data, format_name)
            entries = [line.fetched(OURS, job)]
            at_exporter = bench.at_port(job, line.exporter_port)
            entries += [_peer(bench, peer, job, at_exporter, line.store_port) for peer in PEERS]
            series = bench.compare(f"line {kind.rate // 10**6} MB/s {format_name}", entries, data.rows * _SLOWER)
            what = f"{kind.title}, {format_name.upper()}, {data.rows:,} rows, request to finished file"
            yield replace(against_peers(3, what, series, least=_LEAST), format=format_name)


def _peer(bench: Bench, contender: Contender, job: Job, exported: Job, port: int) -> Entry:
    """``exported`` goes by the exporter's way to the store, ``job`` by the bench's; ``port`` is the client's."""
    export = partial(bench.measure, contender.command(exported))

    def measure() -> Sample:
        bench.store.keep(on=True)
        sample = export()
        if sample.error:
            return sample
        fetched = _fetch(bench, f"http://127.0.0.1:{port}/{ACCOUNT}/{CONTAINER}/{bench.store.largest()[0]}")
        return replace(sample, work=sample.work + fetched.work, error=fetched.error)

    return contender, job, measure


def _fetch(bench: Bench, url: str, *options: str) -> Sample:
    """A download by a client; the store still has the blob, so that sizes can be compared."""
    command = ["-m", "tests.bench.fetch", url, "--to", str(SCRATCH / "client.out"), *options]
    sample = run_measured([sys.executable, *command])
    if not sample.error and (sample.printed or {}).get("bytes") != bench.store.largest()[1]:
        return replace(sample, error="the download has another size than the blob")
    return sample
