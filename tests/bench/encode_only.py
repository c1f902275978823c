"""Our export into nothing: the share of the time that is reading, encoding, ordering and hashing."""

from collections.abc import Callable

from tests.bench.job import Job, run
from tests.bench.null_store import NullStore
from tests.bench.ours import export_into


def prepare(job: Job) -> Callable[[], None]:
    """Open the store that keeps nothing."""
    return export_into(NullStore(), job)


if __name__ == "__main__":
    run(prepare)
