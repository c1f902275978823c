"""The documents of the catalog: ``run.json`` beside a run's parts, and the ``workflow.json`` of a workflow.

An object that neither of them names is not part of any run.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, NonNegativeInt

from engine.catalog.schema import Schema
from engine.stores.documents import Document

FORMAT_VERSION: Literal[1] = 1

MAX_BOUND_LENGTH = 64
"""Of the text of a bound, in characters. Longer lower bounds are cut, longer upper bounds are rounded up."""

ROW_HASH = ("_hash_high", "_hash_low")
"""The columns of a part with the halves of each row's hash (`engine.sql.row_hash`), after those of the schema.

A change of the hash is a change of these names: hashes of both kinds are never compared.
"""


class State(StrEnum):
    """The states of a run; only a FINISHED one is exported."""

    IN_PROGRESS = "IN_PROGRESS"
    VALIDATING = "VALIDATING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    FAILED_INSUFFICIENT_FUNDS = "FAILED_INSUFFICIENT_FUNDS"


def run_prefix(workflow_id: str, run_id: str) -> str:
    """The key prefix of a run's objects, with a trailing ``/``."""
    return f"workflow={workflow_id}/run={run_id}/"


def run_key(workflow_id: str, run_id: str) -> str:
    """The key of a run's document."""
    return f"{run_prefix(workflow_id, run_id)}run.json"


def workflow_key(workflow_id: str) -> str:
    """The key of a workflow's document."""
    return f"workflow={workflow_id}/workflow.json"


def versions_key(workflow_id: str) -> str:
    """The key of the numbers of a workflow's runs (`engine.catalog.table_versions`)."""
    return f"workflow={workflow_id}/versions.json"


class ColumnStatistics(Document):
    """Bounds of a column in one row group, as text; None where the file has none."""

    minimum: str | None
    maximum: str | None
    nulls: int | None


class RowGroup(Document):
    """One row group of a part: rows, compressed bytes, and statistics by column path."""

    rows: NonNegativeInt
    bytes: NonNegativeInt
    statistics: Mapping[str, ColumnStatistics]


class RunObject(Document):
    """An object of a run. ``etag`` and ``bytes`` identify the version that was published."""

    key: str
    bytes: NonNegativeInt
    sha256: str
    etag: str


class StoredColumn(Document):
    """A column of the schema in one part: its compressed bytes, with those of the members and elements within it.

    ``distinct`` is the number of different values but null, where the file says it: of a column with a dictionary, in a
    part of one row group.
    """

    bytes: NonNegativeInt
    distinct: NonNegativeInt | None


class Part(RunObject):
    """One Parquet file of a run."""

    rows: NonNegativeInt
    row_groups: tuple[RowGroup, ...]
    columns: Mapping[str, StoredColumn] = {}
    """By name; empty in older manifests."""
    row_id_filters: RunObject | None = None
    """See `engine.plan.bloom_filters`."""


class WholeFile(Document):
    """The Parquet file of a run, with all rows and columns, which an export makes of bytes of its parts."""

    sha256: str
    """Of the file; computed at publishing, so that an export need not read the bytes."""
    recipe: str
    """Which bytes those are, and what is written after them: an export that merges otherwise has another hash."""
    md5: tuple[str, ...]
    """Of each piece of them that a store copies, in Base64."""


class RunChanges(Document):
    """The rows that differ between a run and another one of the workflow, by row id."""

    since_run_id: str
    since_version: str
    """Of the publication of that run."""
    added: NonNegativeInt
    changed: NonNegativeInt
    removed: NonNegativeInt
    columns: Mapping[str, NonNegativeInt] | None = None
    """In how many of the changed rows each column differs, if in any; None in older manifests."""


class Run(Document):
    """The manifest of a run; parts are in run order."""

    format_version: Literal[1] = FORMAT_VERSION
    workflow_id: str
    run_id: str
    version: str
    """Unique to this publication: export ids depend on it, so a run that is published again has new exports."""
    state: State
    table: Schema
    rows: NonNegativeInt
    row_id_field: str | None
    parts: tuple[Part, ...]
    started_at: AwareDatetime
    executed_at: AwareDatetime | None
    published_at: AwareDatetime
    team: str | None = None
    """The team that published it. Older manifests lack this member; their run belongs to the workflow's team."""
    content_sha256: str | None = None
    """SHA-256 of the published input and its options, if known; identifies a retry."""
    notes: tuple[str, ...] = ()
    """Decisions that the publisher did not ask for, one sentence each (`engine.publishing.sources.Source.notes`)."""
    row_hashes: bool = False
    """Whether the parts have the columns `ROW_HASH`, which no schema has. Only runs with a row-id field do."""
    whole_file: WholeFile | None = None
    """None in older manifests, and of a run without rows."""
    changes: RunChanges | None = None
    """Since the latest finished run at the time of publishing; None if the two cannot be compared by row id."""

    @property
    def at(self) -> datetime:
        """When it was executed, or published if that is unknown; the latest run has the greatest value."""
        return self.executed_at or self.published_at

    def is_comparable(self, since: "Run") -> bool:
        """Whether both runs have row ids of the same field."""
        return self.row_id_field is not None and self.row_id_field == since.row_id_field

    def belongs_at(self, key: str) -> bool:
        """Whether the key is this run's and all its objects have the run's prefix."""
        folder = run_prefix(self.workflow_id, self.run_id)
        return key == run_key(self.workflow_id, self.run_id) and all(
            one.key.startswith(folder) and "/" not in one.key.removeprefix(folder) for one in self.objects
        )

    @property
    def objects(self) -> Iterator[RunObject]:
        """Each part, followed by its row-id filters if it has any."""
        for part in self.parts:
            yield part
            if part.row_id_filters is not None:
                yield part.row_id_filters


class LatestRun(Document):
    """The latest finished run of a workflow, by `Run.at`."""

    run_id: str
    at: AwareDatetime
    rows: NonNegativeInt | None = None
    """None in documents of older versions; `ResultStore.latest_rows` then reads the manifest."""


class Workflow(Document):
    """A workflow: the team that owns it and its latest finished run. Its first run creates it."""

    format_version: Literal[1] = FORMAT_VERSION
    workflow_id: str
    team: str
    name: str
    latest: LatestRun | None = None
    deleted: bool = False
    """Whether its deletion has begun: readers do not see it, and no run can be published into it."""

    def belongs_at(self, key: str) -> bool:
        """Whether the key is this workflow's."""
        return key == workflow_key(self.workflow_id)

    def advanced(self, run: Run) -> "Workflow":
        """The workflow with that run as its latest; unchanged if the run is not finished, or older than the latest."""
        if run.state is not State.FINISHED or (self.latest is not None and self.latest.at > run.at):
            return self
        return self.model_copy(update={"latest": LatestRun(run_id=run.run_id, at=run.at, rows=run.rows)})
