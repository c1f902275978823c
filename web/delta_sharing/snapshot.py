"""Finds the run that a table has at a version: the latest finished one, that of a number, or that of a time."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run, run_key
from engine.catalog.table_versions import TableVersion, VersionHistory, table_versions
from engine.errors import InvalidRequest, NotFound
from web.delta_sharing.names import TableId

_TABLES = uuid.UUID("7d5f8a5e-5c0d-5b3a-9a53-6f1f0c0e6a11")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run as a version of a table. ``at`` is when it was published; ``table`` is the table's unique id."""

    table: str
    run: Run
    version: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Travel:
    """The version that a request asks for: a number, or the last one at a time. Neither is the current version."""

    version: int | None = None
    timestamp: datetime | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.timestamp is not None:
            raise InvalidRequest(
                "version and timestamp cannot be used together: leave one of them out.", parameter="version"
            )

    @property
    def is_past(self) -> bool:
        """Whether the request asks for a certain version."""
        return self.version is not None or self.timestamp is not None


class Tables:
    """The tables of one team. Methods raise NotFound for what does not exist or belongs to another team."""

    def __init__(self, results: ResultStore, team: str) -> None:
        self._results = results
        self._team = team

    def snapshot(self, table: TableId, travel: Travel) -> Snapshot:
        """The table at a version. Raises InvalidRequest for a version that it does not have (any more)."""
        latest, history = self._history(table)
        of_run = self._of_run(table, latest, history)
        if of_run is not None and not _fits(of_run, travel):
            raise InvalidRequest(f"The table is one run: it has version {of_run.version} only.", parameter="version")
        if of_run is not None:
            return of_run
        if travel.version is not None:
            return self._numbered(table, history, travel.version)
        if travel.timestamp is not None:
            return self._last_at(table, history, travel.timestamp)
        at = next(one.at for number, one in history.numbered if number == history.current)
        return Snapshot(table_uuid(self._team, table), latest, history.current, at)

    def first_version_from(self, table: TableId, moment: datetime) -> int:
        """The number of the first version at or after a time. Raises InvalidRequest if there is none."""
        latest, history = self._history(table)
        of_run = self._of_run(table, latest, history)
        if of_run is not None:
            numbers = [of_run.version] if of_run.at >= moment else []
        else:
            numbers = [number for number, one in history.numbered if one.at >= moment and number <= history.current]
        if not numbers:
            raise InvalidRequest("startingTimestamp is after the latest version.", parameter="startingTimestamp")
        return numbers[-1]

    def _history(self, table: TableId) -> tuple[Run, VersionHistory]:
        latest = self._results.resolve(table.workflow_id, None, self._team)
        return latest, table_versions(self._results, table.workflow_id, latest.run_id)

    def _of_run(self, table: TableId, latest: Run, history: VersionHistory) -> Snapshot | None:
        """The only version of a table that is one run; None for another table."""
        if table.run_id is None:
            return None
        run = latest
        if table.run_id != latest.run_id:
            run = self._results.resolve(table.workflow_id, table.run_id, self._team)
        found = [(number, one) for number, one in history.numbered if one.run_id == table.run_id]
        # A run whose number was dropped is older than all that have one.
        number, at = (found[0][0], found[0][1].at) if found else (0, run.published_at)
        return Snapshot(table_uuid(self._team, table), run, number, at)

    def _numbered(self, table: TableId, history: VersionHistory, version: int) -> Snapshot:
        wanted = next((one for number, one in history.numbered if number == version), None)
        run = None if wanted is None else self._published(table, wanted)
        if wanted is None or run is None:
            raise InvalidRequest(
                f"Version {version} is not available; the versions are {history.first} to {history.last}, without "
                "those of deleted runs.",
                parameter="version",
            )
        return Snapshot(table_uuid(self._team, table), run, version, wanted.at)

    def _last_at(self, table: TableId, history: VersionHistory, moment: datetime) -> Snapshot:
        for number, one in history.numbered:
            run = self._published(table, one) if one.at <= moment else None
            if run is not None:
                return Snapshot(table_uuid(self._team, table), run, number, one.at)
        raise InvalidRequest("timestamp is before the first available version.", parameter="timestamp")

    def _published(self, table: TableId, version: TableVersion) -> Run | None:
        """The run of a version; None if it is not finished, or was deleted, even if it was published again."""
        current = self._results.store.head(run_key(table.workflow_id, version.run_id))
        if current is None or current.etag != version.etag:
            return None
        try:
            return self._results.resolve(table.workflow_id, version.run_id, self._team)
        except NotFound:
            return None


def table_uuid(team: str, table: TableId) -> str:
    """The unique id of a table."""
    return str(uuid.uuid5(_TABLES, f"{team}/{table.workflow_id}/{table.run_id or ''}"))


def _fits(snapshot: Snapshot, travel: Travel) -> bool:
    if travel.version is not None:
        return travel.version == snapshot.version
    return travel.timestamp is None or travel.timestamp >= snapshot.at
