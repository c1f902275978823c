"""The samples of one contender at one piece of work, and what is said of them."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.bench.contenders import Contender
from tests.bench.process import Sample

Value = Callable[[Sample], float]


def work(sample: Sample) -> float:
    """Seconds of the work, without the start of the process."""
    return sample.work


def cpu(sample: Sample) -> float:
    """Seconds of processor time of the work."""
    return sample.cpu


@dataclass
class Series:
    """Samples in the order of the rounds. After an error there are no more."""

    contender: Contender
    samples: list[Sample] = field(default_factory=list)
    error: str = ""
    checked: bool = False

    @property
    def usable(self) -> bool:
        """Whether there are figures, of an output that was right."""
        return bool(self.samples) and not self.error

    def median(self, value: Value = work) -> float:
        """The median over the rounds."""
        return statistics.median(map(value, self.samples))

    def spread(self, value: Value = work) -> tuple[float, float]:
        """The least and the most."""
        values = [value(sample) for sample in self.samples]
        return min(values), max(values)

    @property
    def peak_mb(self) -> float:
        """The largest peak of all rounds."""
        return max(sample.peak_mb for sample in self.samples)

    def summary(self) -> dict[str, object]:
        """All of it, for the JSON report."""
        summary: dict[str, object] = {"contender": self.contender.name, "title": self.contender.title}
        if self.error:
            summary["error"] = self.error
        if self.samples:
            summary |= {
                "work": {"median": self.median(), "min": self.spread()[0], "max": self.spread()[1]},
                "cpu": self.median(cpu),
                "storeCpu": self.median(lambda sample: sample.store_cpu),
                "peakMb": self.peak_mb,
                "bytes": self.samples[-1].size,
                "checked": self.checked,
                "works": [sample.work for sample in self.samples],
            }
        return summary


def best_peer(series: Iterable[Series]) -> Series | None:
    """The fastest peer whose output was right."""
    peers = [found for found in series if found.contender.peer and found.usable]
    return min(peers, key=lambda found: found.median(), default=None)
