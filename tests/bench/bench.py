"""One run of the benchmark: data, emulator, and rounds in which all contenders take turns."""

import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from tests.bench.contenders import Contender
from tests.bench.data import RESULTS, Dataset, dataset, publish
from tests.bench.emulator import CONTAINER, Emulator
from tests.bench.job import Job
from tests.bench.memory import MemoryInUse
from tests.bench.process import Sample, run_measured
from tests.bench.progress import Progress, cost_of
from tests.bench.proxy import Proxy
from tests.bench.series import Series
from tests.bench.settings import FOLDER, Settings
from tests.helpers.azurite import ACCOUNT, KEY

SCRATCH = FOLDER / "scratch"


class Bench:
    """What the goals work with."""

    def __init__(self, settings: Settings, emulator: Emulator, memory: MemoryInUse, progress: Progress) -> None:
        self.settings = settings
        self.emulator = emulator
        self.memory = memory
        self.progress = progress
        self.clean()

    def data(self, rows: int) -> Dataset:
        """The published run of that many rows, made now if there is none."""
        found = dataset(rows, self.settings.seed)
        if found is None:
            self.progress.note(f"publishing {rows:,} rows, once")
            found = publish(rows, self.settings.seed)
        return found

    def job(self, data: Dataset, format_name: str, **options: object) -> Job:
        """A job on a run, against the emulator as it is now."""
        job = Job(
            format=format_name,
            parts=data.parts,
            results=str(RESULTS),
            workflow=data.workflow,
            connection_string="",
            endpoint="",
            account=ACCOUNT,
            key=KEY,
            container=CONTAINER,
            scratch=str(SCRATCH),
            exports=f"az://{CONTAINER}",
        )
        return self.at_port(job.but(**options), self.emulator.port)

    def at_port(self, job: Job, port: int) -> Job:
        """The same job through another port: the emulator's, or a proxy's before it."""
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        text = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"
        return job.but(endpoint=endpoint, connection_string=text)

    def compare(
        self, what: str, entries: Sequence[tuple[Contender, Job]], rows: int, *, far: bool = False
    ) -> list[Series]:
        """Measure all in turns, each round beginning with another one; the first round checks the outputs.

        ``far``: they reach the emulator through the proxy.
        """
        series = [Series(contender) for contender, _ in entries]
        for number in range(self.settings.rounds):
            for step in range(len(entries)):
                place = (step + number) % len(entries)
                contender, job = entries[place]
                if not series[place].error:
                    self._measure(series[place], job, far=far)
                    told = _told(series[place])
                else:
                    told = "left out"
                turn = f"{number + 1}/{self.settings.rounds}"
                self.progress.step(f"{what} | round {turn} | {contender.title}: {told}", cost_of(rows, 1))
        return series

    def measure(self, command: Sequence[str]) -> Sample:
        """Run a program and measure it, and the emulator beside it."""
        self.memory.bring()
        return run_measured(command, emulator=self.emulator.pid)

    def clean(self) -> None:
        """Empty the folder for files that are only used within a measurement."""
        shutil.rmtree(SCRATCH, ignore_errors=True)
        SCRATCH.mkdir(parents=True)

    def _measure(self, series: Series, job: Job, *, far: bool) -> None:
        contender = series.contender
        with Proxy(self.emulator.port) if far else nullcontext() as proxy:
            near = self.at_port(job, self.emulator.port)
            sample = self.measure(contender.command(near if proxy is None else self.at_port(job, proxy.port)))
        if sample.error:
            series.error = sample.error
        else:
            series.samples.append(_sized(sample, self.emulator.largest()[1]))
            if contender.output and not series.checked:
                series.error = self._check(near)
                series.checked = not series.error
        self.emulator.empty()
        if job.file is None:
            self.clean()
        # At once: for a second the pages that were left are as good as new.
        self.memory.bring()

    def _check(self, job: Job) -> str:
        sample = run_measured([sys.executable, "-m", "tests.bench.verify", job.text()])
        if sample.error:
            return f"its output cannot be read: {sample.error}"
        wrong = (sample.told or {}).get("wrong", "was not checked")
        return f"its output {wrong}" if wrong else ""


def _sized(sample: Sample, size: int) -> Sample:
    return Sample(**{**sample.__dict__, "size": size})


def _told(series: Series) -> str:
    if series.error:
        return f"FAILED ({json.dumps(series.error, ensure_ascii=False)})"
    sample = series.samples[-1]
    return f"{sample.wall:.2f} s, {sample.cpu:.1f} s of CPU, {sample.peak_mb:.0f} MB"
