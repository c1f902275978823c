"""Removing runs and workflows: what readers go by first, then what it names.

A run goes with its manifest. A workflow is marked before anything of it is removed, so that no reader sees half of it
and whoever comes after a deleter that was killed completes the deletion.
"""

from contextlib import suppress

from engine.catalog.catalog import NOT_FOUND, ResultStore
from engine.catalog.manifest import Run, Workflow, run_key, workflow_key
from engine.common.ids import is_id
from engine.errors import DocumentDamaged, NotFound
from engine.stores.documents import ConcurrentChanges


class Removal:
    """Removes documents of a result store, and the parts that they name; exports are not known here."""

    def __init__(self, results: ResultStore) -> None:
        self._results = results
        self._store = results.store

    def remove_run(self, run: Run) -> None:
        """Remove a run: the manifest first, so that no reader sees half of it, then all that it names."""
        self.remove_manifest(run)
        self.remove_parts(run)

    def remove_manifest(self, run: Run) -> bool:
        """Remove that publication's manifest; False if it is gone."""
        key = run_key(run.workflow_id, run.run_id)
        info = self._store.head(key)
        if info is None or info.metadata.get("version", run.version) != run.version:
            return False
        return self._store.delete(key, etag=info.etag)

    def remove_parts(self, run: Run) -> None:
        """Remove all that a run consists of, once its manifest is gone."""
        for found in run.objects:
            self._store.delete(found.key)

    def repoint(self, workflow_id: str) -> None:
        """Make the newest remaining run the latest, if the latest is gone."""

        def repointed(workflow: Workflow | None) -> Workflow | None:
            latest = None if workflow is None else workflow.latest
            if workflow is None or latest is None:
                return None
            if self._store.head(run_key(workflow_id, latest.run_id)) is not None:
                return None
            left = self._results.newest_finished(workflow)
            bare = workflow.model_copy(update={"latest": None})
            return bare if left is None else bare.advanced(left)

        # Readers look for the newest run by themselves where the latest is gone, and a sweep comes here again.
        with suppress(ConcurrentChanges):
            self._results.workflow_documents.update(workflow_key(workflow_id), repointed)

    def remove_unbegun(self, workflow_id: str) -> None:
        """Remove a workflow that has no run: it began with one that was deleted meanwhile."""
        found = self._results.workflow_documents.find(workflow_key(workflow_id))
        if found is not None and found.document.latest is None and not self._results.run_ids(workflow_id):
            self._store.delete(workflow_key(workflow_id), etag=found.etag)

    def mark_deleted(self, workflow_id: str, team: str) -> Workflow:
        """Hide a workflow from all readers, for good. Raises NotFound as `owned` does."""

        def marked(workflow: Workflow | None) -> Workflow:
            if workflow is None or workflow.team != team:
                raise NotFound(NOT_FOUND)
            return workflow.model_copy(update={"deleted": True})

        if not is_id(workflow_id):
            raise NotFound(NOT_FOUND)
        found = self._results.workflow_documents.update(workflow_key(workflow_id), marked)
        if found is None:
            raise NotFound(NOT_FOUND)
        return found

    def remove_marked(self, workflow_id: str) -> None:
        """Remove a workflow that `mark_deleted` has hidden: its runs, then its description."""
        for run_id in self._results.run_ids(workflow_id):
            try:
                run = self._results.run(workflow_id, run_id)
            except DocumentDamaged:
                # What it names is not known: a sweep finds parts that no manifest names.
                self._store.delete(run_key(workflow_id, run_id))
                continue
            if run is not None:
                self.remove_run(run)
        found = self._results.workflow_documents.find(workflow_key(workflow_id))
        # Another deleter may have been faster.
        if found is not None and found.document.deleted:
            self._store.delete(workflow_key(workflow_id), etag=found.etag)
