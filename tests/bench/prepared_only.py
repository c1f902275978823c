"""What an export has in memory before it begins."""

from collections.abc import Callable
from functools import partial

from tests.bench import ours
from tests.bench.job import Job, run


def prepare(job: Job) -> Callable[[], None]:
    """Open what `ours` opens, and hold it."""
    return partial(_hold, ours.prepare(job))


def _hold(_work: Callable[[], None]) -> None:
    """Do nothing."""


if __name__ == "__main__":
    run(prepare)
