"""The number of each run of a workflow in the order of publishing, and the number of its latest run.

Delta Sharing calls them versions of a table, by which clients decide whether what they have is still current. So a
number is never used for another run, and the number of the latest run only grows: if the latest run is deleted, the one
that is then the latest gets another number. Runs are numbered when a reader asks for numbers, in
``workflow={id}/versions.json``, which goes when the workflow does.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Literal, cast

from pydantic import AwareDatetime, NonNegativeInt, PositiveInt

from engine.catalog.catalog import ResultStore, run_id_of
from engine.catalog.manifest import run_key, versions_key
from engine.errors import NotFound
from engine.stores.documents import Document, Documents

MAX_VERSIONS = 1_000
"""How many of the newest numbers are retained."""


class TableVersion(Document):
    """A run that has a number: the version of its manifest, and when that was published by the store's clock."""

    run_id: str
    etag: str
    at: AwareDatetime


class VersionHistory(Document):
    """The runs with the numbers from ``first`` on; ``current`` is the number of the latest run."""

    format_version: Literal[1] = 1
    workflow_id: str
    first: PositiveInt = 1
    current: NonNegativeInt = 0
    versions: tuple[TableVersion, ...] = ()

    def belongs_at(self, key: str) -> bool:
        """Whether the key is this workflow's."""
        return key == versions_key(self.workflow_id)

    @property
    def last(self) -> int:
        """The greatest number."""
        return self.first + len(self.versions) - 1

    @property
    def numbered(self) -> Iterator[tuple[int, TableVersion]]:
        """The numbers with their runs, the newest first."""
        return zip(range(self.last, 0, -1), reversed(self.versions), strict=False)

    def number_of(self, version: TableVersion) -> int | None:
        """The greatest number of a run, or None."""
        wanted = (version.run_id, version.etag)
        return next((number for number, one in self.numbered if (one.run_id, one.etag) == wanted), None)

    def with_runs(self, published: list[TableVersion]) -> "VersionHistory":
        """The history with these runs after its own; the oldest beyond `MAX_VERSIONS` are dropped."""
        versions = (*self.versions, *published)
        dropped = max(0, len(versions) - MAX_VERSIONS)
        return self.model_copy(update={"versions": versions[dropped:], "first": self.first + dropped})


def table_versions(results: ResultStore, workflow_id: str, latest_run_id: str) -> VersionHistory:
    """Number the runs that have no number yet, and return the numbers.

    Raises NotFound if the latest run has been deleted meanwhile, DocumentDamaged, or StoreError.
    """
    published = [
        TableVersion(run_id=run_id_of(info.key), etag=info.etag, at=info.modified)
        for info in results.manifests(workflow_id)
    ]
    latest = next((one for one in published if one.run_id == latest_run_id), None)
    if latest is None:
        raise NotFound("The latest run was deleted during the request; send it again.")

    def numbered(history: VersionHistory | None) -> VersionHistory:
        history = history or VersionHistory(workflow_id=workflow_id)
        known = {(one.run_id, one.etag) for one in history.versions}
        # Those older than the history had numbers that were dropped.
        oldest = history.versions[0].at if history.first > 1 else None
        new = [one for one in published if (one.run_id, one.etag) not in known]
        new = [one for one in new if oldest is None or one.at > oldest]
        history = history.with_runs(_in_order(results, workflow_id, new))
        number = history.number_of(latest)
        if number is None or number < history.current:
            history = history.with_runs([latest.model_copy(update={"at": datetime.now(UTC)})])
            number = history.last
        return history.model_copy(update={"current": number})

    versions = Documents(results.store, VersionHistory)
    # Never None, since `numbered` returns a history.
    return cast("VersionHistory", versions.update(versions_key(workflow_id), numbered))


def _in_order(results: ResultStore, workflow_id: str, published: list[TableVersion]) -> list[TableVersion]:
    """The runs in the order of publishing."""
    found: list[TableVersion] = []
    for _, group in groupby(sorted(published, key=attrgetter("at")), key=attrgetter("at")):
        runs = list(group)
        if len(runs) > 1:
            # Azure's times are whole seconds; the manifest has the time of the publisher.
            runs.sort(key=lambda run: _published_at(results, workflow_id, run))
        found += runs
    return found


def _published_at(results: ResultStore, workflow_id: str, version: TableVersion) -> datetime:
    run = results.run_documents.read(run_key(workflow_id, version.run_id))
    return version.at if run is None else run.published_at
