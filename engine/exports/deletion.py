"""Deleting runs and workflows with their exports: nothing of them opens afterwards, and no reader sees half of them.

The manifest of a run goes first, the exports next, the parts last. An export that is committed meanwhile finds the
manifest gone and is removed by its own exporter (`engine.exports.exporter`). `engine.exports.sweep` completes what a
deleter that was killed has begun.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from engine.catalog.catalog import NOT_FOUND, ResultStore
from engine.catalog.manifest import Run, State
from engine.catalog.removal import Removal
from engine.common.concurrency import read_all
from engine.common.ids import EXPORT_ID, ID
from engine.errors import NotFound, ObjectMissing
from engine.exports.leases import SUFFIX as LEASE
from engine.exports.status import SUFFIX as STATUS
from engine.exports.status import ExportStatus
from engine.request.formats import FORMATS
from engine.stores.port import ObjectInfo, ObjectStore

_EXTENSIONS = "|".join(format_.extension for format_ in FORMATS.values())
EXPORT_OBJECT = re.compile(
    rf"{ID.pattern}/{EXPORT_ID.pattern}(\.({_EXTENSIONS})({re.escape(LEASE)})?|{re.escape(STATUS)})", re.ASCII
)
"""Keys of exports, and of the documents beside them: results may lie in the same container."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion removed."""

    runs: int
    exports: int


class Deletion:
    """Deletes from one store of results and one of exports; safe beside publishers, exports and downloads."""

    def __init__(self, results: ResultStore, exports: ObjectStore) -> None:
        self._results = results
        self._exports = exports
        self._removal = Removal(results)

    def delete_run(self, workflow_id: str, run_id: str, team: str) -> Deleted:
        """Delete a run of a team, in any state; the newest that remains becomes the latest.

        Raises NotFound, with the same words for what is not there and what belongs to another team, or StoreError;
        then it may be deleted in part, and no reader sees it if its manifest is gone.
        """
        self._results.owned(workflow_id, team)
        run = self._results.run(workflow_id, run_id)
        if run is None or run.team not in (None, team) or not self._removal.remove_manifest(run):
            raise NotFound(NOT_FOUND)
        removed = self.remove_exports(workflow_id, lambda run_id, version: _is_of(run, run_id, version))
        self._removal.repoint(workflow_id)
        self._removal.remove_parts(run)
        return Deleted(runs=1, exports=removed)

    def delete_workflow(self, workflow_id: str, team: str) -> Deleted:
        """Delete a workflow of a team with all its runs, or complete its deletion. Raises as `delete_run` does."""
        self._removal.mark_deleted(workflow_id, team)
        return self.complete(workflow_id)

    def complete(self, workflow_id: str) -> Deleted:
        """Remove what is left of a workflow whose deletion has begun."""
        runs = len(self._results.run_ids(workflow_id))
        removed = self.remove_exports(workflow_id, lambda _run, _version: True)
        self._removal.remove_marked(workflow_id)
        return Deleted(runs=runs, exports=removed)

    def remove_exports(self, workflow_id: str, of: Callable[[str | None, str | None], bool]) -> int:
        """Remove the exports of a workflow whose run and version (None if unknown) are so; how many there were."""
        found = [info for info in self._exports.list(f"{workflow_id}/") if EXPORT_OBJECT.fullmatch(info.key)]
        files = [info.key for info in found if not info.key.endswith((LEASE, STATUS))]
        removed = 0
        for info in read_all(self._exports.head, files):
            if of(info.metadata.get("run"), info.metadata.get("version")):
                removed += self._exports.delete(info.key)
                self._exports.delete(info.key + LEASE)
        for info in found:
            if info.key.endswith(STATUS) and of(self._run_of(info), None):
                self._exports.delete(info.key)
        return removed

    def _run_of(self, ticket: ObjectInfo) -> str | None:
        try:
            return ExportStatus.model_validate_json(self._exports.read(ticket.key)).run_id
        except (ObjectMissing, ValidationError):
            return None


def _is_of(run: Run, run_id: str | None, version: str | None) -> bool:
    """Whether an export is of that publication; those of older versions do not say which one they are of."""
    return run_id == run.run_id and version in (None, run.version)


def is_exportable(results: ResultStore, run: Run) -> bool:
    """Whether the run is still there for its team: neither it nor its workflow was deleted."""
    return run.state is State.FINISHED and results.has(run) and results.workflow(run.workflow_id) is not None
