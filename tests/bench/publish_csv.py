"""Publish a CSV file into a directory: read, check and type every cell, write the parts, hash and store them."""

from collections.abc import Callable
from pathlib import Path

from engine.catalog.catalog import ResultStore
from engine.publishing.publisher import Publication, Publisher
from engine.settings import DuckDBSettings
from engine.stores import DirectoryStore
from tests.bench.job import Job, run, without_pandas
from tests.helpers.server import TEAM

without_pandas()


def prepare(job: Job) -> Callable[[], None]:
    """Open the store, and publish one row, so that the clients have imported what they import on first use."""
    folder = Path(job.scratch) / "published"
    publisher = Publisher(ResultStore(DirectoryStore(folder)), DuckDBSettings(spill_directory=Path(job.scratch)))
    first = Path(job.scratch) / "first.csv"
    first.write_text("id,day,at\n1,2026-01-31,2026-01-31T10:00:00Z\n", "utf-8")
    publisher.publish(Publication("first", "run", (first,), team=TEAM))
    publication = Publication(job.workflow, "run", tuple(map(Path, job.parts)), team=TEAM)

    def work() -> None:
        publisher.publish(publication)

    return work


if __name__ == "__main__":
    run(prepare)
