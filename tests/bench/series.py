"""The samples of one contender at one piece of work, and what is said of them."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.bench.contenders import Contender
from tests.bench.process import Sample

Value = Callable[[Sample], float]


def wall(sample: Sample) -> float:
    """The whole process."""
    return sample.wall


def work(sample: Sample) -> float:
    """The process without its start and imports."""
    return sample.work


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

    def median(self, value: Value = wall) -> float:
        """The median over the rounds."""
        return statistics.median(map(value, self.samples))

    def spread(self, value: Value = wall) -> tuple[float, float]:
        """The least and the most."""
        values = [value(sample) for sample in self.samples]
        return min(values), max(values)

    @property
    def peak_mb(self) -> float:
        """The largest peak of all rounds."""
        return max(sample.peak_mb for sample in self.samples)

    def cpu(self) -> float:
        """The median of the processor time."""
        return self.median(lambda sample: sample.cpu)

    def summary(self) -> dict[str, object]:
        """All of it, for the JSON report."""
        told: dict[str, object] = {"contender": self.contender.name, "title": self.contender.title}
        if self.error:
            told["error"] = self.error
        if self.samples:
            told |= {
                "wall": {"median": self.median(), "min": self.spread()[0], "max": self.spread()[1]},
                "work": {"median": self.median(work), "min": self.spread(work)[0], "max": self.spread(work)[1]},
                "cpu": self.cpu(),
                "emulatorCpu": self.median(lambda sample: sample.emulator_cpu),
                "peakMb": self.peak_mb,
                "bytes": self.samples[-1].size,
                "checked": self.checked,
                "walls": [sample.wall for sample in self.samples],
            }
        return told


def best_peer(series: Iterable[Series], value: Value = wall, *, most_mb: float | None = None) -> Series | None:
    """The fastest peer whose output was right; within that memory, if it is bounded."""
    peers = [found for found in series if found.contender.peer and found.usable]
    if most_mb is not None:
        peers = [found for found in peers if found.peak_mb <= most_mb]
    return min(peers, key=lambda found: found.median(value), default=None)
