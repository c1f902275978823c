"""Deletes runs and workflows with their exports, in an order in which no reader sees half of one.

The manifest of a run is removed first, then its exports, then its parts. An exporter that commits in between finds the
manifest gone and removes its own export (`engine.exports.exporter`). If the process is killed, `engine.exports.sweep`
completes the deletion.
"""

from collections.abc import Callable
from dataclasses import dataclass

from engine.catalog.catalog import NOT_FOUND, ResultStore
from engine.catalog.manifest import Run, State
from engine.catalog.removal import Removal
from engine.common.concurrency import read_all
from engine.common.ids import is_export_id, is_id
from engine.errors import NotFound
from engine.exports.export import is_export, runs_of
from engine.exports.leases import SUFFIX as LEASE
from engine.exports.status import SUFFIX as STATUS
from engine.exports.status import ExportStatus
from engine.exports.tombstones import SUFFIX as TOMBSTONE
from engine.stores.documents import Documents
from engine.stores.port import ObjectStore


def is_export_object(key: str) -> bool:
    """Whether the key is of an export's file, or of its lease, status document or tombstone.

    The exports store may be the same container as the results store, so a list of it can have other keys.
    """
    for suffix in (STATUS, TOMBSTONE):
        if key.endswith(suffix):
            workflow_id, _, export_id = key.removesuffix(suffix).partition("/")
            return is_id(workflow_id) and is_export_id(export_id)
    return is_export(key.removesuffix(LEASE))


@dataclass(frozen=True, slots=True)
class DeletionResult:
    """The number of runs and of export files that a deletion removed."""

    runs: int
    exports: int


class Deletion:
    """Deletes from a results store and an exports store; safe beside publishers, exports and downloads."""

    def __init__(self, results: ResultStore, exports: ObjectStore) -> None:
        self._results = results
        self._exports = exports
        self._removal = Removal(results)

    def delete_run(self, workflow_id: str, run_id: str, team: str) -> DeletionResult:
        """Delete a team's run in any state; the newest remaining run becomes the latest.

        Raises NotFound, with one message for what does not exist and what belongs to another team, or StoreError.
        After a StoreError, either the run is unchanged, or no reader sees it and a sweep completes the deletion.
        """
        self._results.owned_workflow(workflow_id, team)
        run = self._results.run(workflow_id, run_id)
        if run is None or run.team not in (None, team) or not self._removal.remove_manifest(run):
            raise NotFound(NOT_FOUND)
        removed = self.remove_exports(workflow_id, lambda run_id, version: _is_of(run, run_id, version))
        self._removal.correct_latest(workflow_id)
        self._removal.remove_parts(run)
        return DeletionResult(runs=1, exports=removed)

    def delete_workflow(self, workflow_id: str, team: str) -> DeletionResult:
        """Delete a team's workflow with all its runs, or complete its deletion. Raises as `delete_run` does."""
        self._removal.mark_deleted(workflow_id, team)
        return self.complete(workflow_id)

    def complete(self, workflow_id: str) -> DeletionResult:
        """Remove the rest of a workflow whose deletion has begun. Raises StoreError."""
        runs = len(self._results.run_ids(workflow_id))
        removed = self.remove_exports(workflow_id, lambda _run, _version: True)
        self._removal.remove_marked_workflow(workflow_id)
        return DeletionResult(runs=runs, exports=removed)

    def remove_exports(self, workflow_id: str, matches: Callable[[str | None, str | None], bool]) -> int:
        """Remove the exports of a workflow that match, and their documents; returns the number of files.

        ``matches`` gets the run id and the version of the publication, None for what is unknown.
        """
        keys = [info.key for info in self._exports.list(f"{workflow_id}/") if is_export_object(info.key)]
        removed = 0
        for info in read_all(self._exports.head, [key for key in keys if is_export(key)]):
            if any(matches(*made_of) for made_of in runs_of(info)):
                removed += self._exports.delete(info.key)
                self._exports.delete(info.key + LEASE)
        for key in keys:
            # Ids of exports depend on the publication, so those of a workflow that is gone never recur.
            run_id = self._run_of_status(key) if key.endswith(STATUS) else None
            if key.endswith((STATUS, TOMBSTONE)) and matches(run_id, None):
                self._exports.delete(key)
        return removed

    def _run_of_status(self, key: str) -> str | None:
        status = Documents(self._exports, ExportStatus).read(key)
        return None if status is None else status.run_id


def _is_of(run: Run, run_id: str | None, version: str | None) -> bool:
    """Whether an export is of this publication. Exports of older versions have no version; they match."""
    return run_id == run.run_id and version in (None, run.version)


def is_exportable(results: ResultStore, run: Run) -> bool:
    """Whether the run is finished, and neither it nor its workflow has been deleted."""
    return run.state is State.FINISHED and results.has(run) and results.workflow(run.workflow_id) is not None
