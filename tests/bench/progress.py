"""Lines that tell what is measured, how far it is, and when it will be done."""

import sys
import time

FIXED_COST = 300_000
"""What starting and ending a process costs, as a number of exported rows."""


class Progress:
    """Counts cost in exported rows; the remaining time is estimated from the pace so far."""

    def __init__(self, total: int) -> None:
        self._total = max(total, 1)
        self._done = 0
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self._started

    def note(self, text: str) -> None:
        """A line that is no measurement."""
        sys.stdout.write(f"[{_clock(self.seconds)}] {text}\n")
        sys.stdout.flush()

    def step(self, text: str, cost: int) -> None:
        """A line for a measurement that is done."""
        self._done = min(self._done + cost, self._total)
        left = self.seconds * (self._total - self._done) / max(self._done, 1)
        share = 100 * self._done // self._total
        self.note(f"{share:3d} % | {text} | about {_clock(left)} left")


def cost_of(rows: int, measurements: int) -> int:
    """The cost of that many measurements of exports of that many rows."""
    return (rows + FIXED_COST) * measurements


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:3d}:{int(seconds) % 60:02d}"
