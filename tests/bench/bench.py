"""One run of the benchmark: data, stores, and rounds in which all contenders take turns."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from tests.bench.contenders import Contender
from tests.bench.data import RESULTS, Dataset, dataset, publish
from tests.bench.ideal import CONTAINER, EXPORTS_MARKER, Ideal
from tests.bench.job import Job
from tests.bench.memory import MemoryInUse
from tests.bench.process import Helper, Sample, run_measured
from tests.bench.progress import Progress, cost_of
from tests.bench.series import Series
from tests.bench.settings import FOLDER, Settings
from tests.helpers.azurite import ACCOUNT, KEY, connection_string

SCRATCH = FOLDER / "scratch"

Entry = tuple[Contender, Job, Callable[[], Sample]]
"""Who is measured, the job by which its output is verified, and one measurement of it."""


class Bench:
    """What the goals work with."""

    def __init__(self, settings: Settings, store: Ideal, memory: MemoryInUse, progress: Progress) -> None:
        self.settings = settings
        self.store = store
        self.memory = memory
        self.progress = progress
        self._verifier = Helper("tests.bench.verify")
        self.clean()

    def close(self) -> None:
        """End what helps, and remove what is left."""
        self._verifier.close()
        self.clean()

    def data(self, rows: int) -> Dataset:
        """The published run of that many rows, made now if there is none."""
        found = dataset(rows, self.settings.seed)
        if found is None:
            self.progress.note(f"publishing {rows:,} rows, once")
            found = publish(rows, self.settings.seed)
        return found

    def job(self, data: Dataset, format_name: str, **options: object) -> Job:
        """A job on a run, against the ideal store."""
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
        return self.at_port(job.but(**options), self.store.port)

    def at_port(self, job: Job, port: int) -> Job:
        """The same job through another port: that of a proxy before the store."""
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        return job.but(endpoint=endpoint, connection_string=connection_string(port))

    def entry(self, contender: Contender, job: Job) -> Entry:
        """A contender that does a job in a process of its own."""
        return contender, job, partial(self.measure, contender.command(job))

    def compare(self, what: str, entries: Sequence[Entry], rows: int) -> list[Series]:
        """Measure all in turns, each round beginning with another one.

        Before the first round, each output is verified once, in a run that is not counted.
        """
        series = [Series(contender) for contender, _, _ in entries]
        for found, (contender, job, measure) in zip(series, entries, strict=True):
            if contender.output:
                self._verify(found, job, measure)
                result = found.error or "its output is right"
                self.progress.step(f"{what} | verified | {contender.title}: {result}", cost_of(rows, 1))
        for number in range(self.settings.rounds):
            for step in range(len(entries)):
                place = (step + number) % len(entries)
                if series[place].samples[number:]:
                    continue
                if not series[place].error:
                    self._measure(series[place], entries[place][2])
                turn = f"{number + 1}/{self.settings.rounds}"
                title, result = series[place].contender.title, _result(series[place])
                self.progress.step(f"{what} | round {turn} | {title}: {result}", cost_of(rows, 1))
        return series

    def measure(self, command: Sequence[str]) -> Sample:
        """Run a program and measure it, and the store beside it."""
        self.memory.bring()
        return run_measured(command, store=self.store.pid)

    def clean(self) -> None:
        """Empty the folder for files that are only used within a measurement."""
        shutil.rmtree(SCRATCH, ignore_errors=True)
        SCRATCH.mkdir(parents=True)

    def _measure(self, series: Series, measure: Callable[[], Sample]) -> None:
        sample = measure()
        series.error = sample.error
        if not sample.error:
            series.samples.append(replace(sample, size=self.store.largest()[1]))
        self._forget()

    def _verify(self, series: Series, job: Job, measure: Callable[[], Sample]) -> None:
        """Note what is wrong with a contender's output, from a run in which the store keeps bodies."""
        self.store.keep(on=True)
        try:
            sample = measure()
            series.error = sample.error or self._wrong(job)
            series.checked = not series.error
            if self.settings.quick and series.checked:
                series.samples.append(replace(sample, size=self.store.largest()[1]))
        finally:
            self.store.keep(on=False)
            self._forget()

    def _wrong(self, job: Job) -> str:
        wrong = json.loads(self._verifier.ask(job.text()))
        return f"its output {wrong}" if wrong else ""

    def _forget(self) -> None:
        # A service that runs would take the store for one that was lost.
        self.store.empty(but=EXPORTS_MARKER)
        self.clean()
        # At once: for a second the pages that were left are as good as new.
        self.memory.bring()


def _result(series: Series) -> str:
    if series.error:
        return f"FAILED ({json.dumps(series.error, ensure_ascii=False)})"
    sample = series.samples[-1]
    return f"{sample.work:.2f} s, {sample.cpu:.1f} s of CPU, {sample.peak_mb:.0f} MB"
