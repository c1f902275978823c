"""Goal 10: a download that streams through the service, against one straight from Azurite, which keeps its bytes."""

import signal
import statistics
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

from tests.bench.bench import Bench
from tests.bench.emulator import Emulator
from tests.bench.outcome import Line
from tests.bench.process import Sample, resident_mb, run_measured
from tests.bench.progress import cost_of
from tests.bench.service import Client, Service
from tests.bench.settings import Settings

GOALS = (10,)
_LEAST = 0.7
_FLAT = 1.2
_MOST_MB = 100
"""More than idle, whatever the size of the file."""
_LOOK_SECONDS = 0.02


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return cost_of(settings.rows, 1) + cost_of(settings.rows // 4, 2 * settings.rounds)


def run(bench: Bench) -> list[Line]:
    """The export is made by one service process and downloaded through another, whose memory is fresh."""
    with Emulator() as emulator:
        return _measured(bench, emulator)


def _measured(bench: Bench, emulator: Emulator) -> list[Line]:
    data = bench.data(bench.settings.rows)
    service = Service(emulator.connection_string, checksum="md5")
    service.start()
    try:
        _export(service, data.workflow)
        service.stop(signal.SIGTERM)
        service.start()
        bench.progress.step("download | the file is there", cost_of(data.rows, 1))
        url = _export(service, data.workflow)
        name, size = emulator.largest()
        straight = emulator.read_url(name, (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"))
        idle = resident_mb(service.pid)
        through, direct, peaks = [], [], []
        for number in range(bench.settings.rounds):
            with _Watch(service.pid) as watch:
                through.append(_fetch(url, size))
            peaks.append(watch.peak_mb)
            direct.append(_fetch(straight, size))
            rates = f"service {size / through[-1] / 1e6:.0f} MB/s, straight {size / direct[-1] / 1e6:.0f} MB/s"
            bench.progress.step(
                f"download | round {number + 1}/{bench.settings.rounds} | {rates}, service's memory {peaks[-1]:.0f} MB",
                cost_of(data.rows // 4, 2),
            )
    finally:
        service.stop(signal.SIGTERM)
    ratio = statistics.median(direct) / statistics.median(through)
    flat = max(peaks) / peaks[0] <= _FLAT and max(peaks) - idle <= _MOST_MB
    return [
        Line(
            10,
            f"download of {size / 1e6:,.0f} MB through the service",
            f">= {_LEAST:g} of a GET from Azurite, memory flat",
            ours=_rates(size, through),
            best=f"straight: {_rates(size, direct)}",
            figure=f"{ratio:.2f}x",
            met=ratio >= _LEAST and flat,
            note=f"service's memory: idle {idle:.0f} MB, peaks of the downloads "
            + ", ".join(f"{peak:.0f}" for peak in peaks),
            facts={"through": through, "direct": direct, "peakMb": peaks, "idleMb": idle, "ratio": ratio},
        )
    ]


def _rates(size: int, times: list[float]) -> str:
    median, least, most = (size / time / 1e6 for time in (statistics.median(times), max(times), min(times)))
    return f"{median:.0f} MB/s ({least:.0f} - {most:.0f})"


def _export(service: Service, workflow: str) -> str:
    client = Client(service)
    url = str(client.export(workflow, format="csv")[1]["url"])
    client.close()
    return url


def _fetch(url: str, size: int) -> float:
    sample: Sample = run_measured([sys.executable, "-m", "tests.bench.fetch", url])
    if sample.error or (sample.printed or {}).get("bytes") != size:
        raise RuntimeError(f"the download is not {size} bytes: {sample.error or sample.printed}")
    return sample.work


class _Watch:
    """Looks at the memory of a process from time to time."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.peak_mb = 0.0

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            self.peak_mb = max(self.peak_mb, resident_mb(self._pid))
            time.sleep(_LOOK_SECONDS)
