"""Removes runs and workflows from the catalog, in an order in which no reader sees half of one.

A run's manifest is removed before its parts. A workflow is marked as deleted before any of its runs is removed, so that
a later sweep or a second attempt completes a deletion whose process was killed.
"""

from contextlib import suppress

from engine.catalog.catalog import NOT_FOUND, ResultStore, is_manifest_of
from engine.catalog.manifest import Run, Workflow, run_key, versions_key, workflow_key
from engine.common.ids import is_id
from engine.errors import DocumentDamaged, NotFound
from engine.stores.documents import ConcurrentChanges


class Removal:
    """Removes documents of a result store and the parts that they name, but no exports."""

    def __init__(self, results: ResultStore) -> None:
        self._results = results
        self._store = results.store

    def remove_run(self, run: Run) -> None:
        """Remove a run: first its manifest, then the objects that it names."""
        self.remove_manifest(run)
        self.remove_parts(run)

    def remove_manifest(self, run: Run) -> bool:
        """Remove the manifest of this publication; False if it is gone."""
        info = self._store.head(run_key(run.workflow_id, run.run_id))
        return info is not None and is_manifest_of(run, info) and self._store.delete(info.key, etag=info.etag)

    def remove_parts(self, run: Run) -> None:
        """Remove the objects of a run whose manifest is gone."""
        for one in run.objects:
            self._store.delete(one.key)

    def correct_latest(self, workflow_id: str) -> None:
        """If the latest run of a workflow is gone, make the newest remaining one the latest."""

        def corrected(workflow: Workflow | None) -> Workflow | None:
            latest = None if workflow is None else workflow.latest
            if workflow is None or latest is None:
                return None
            if self._store.head(run_key(workflow_id, latest.run_id)) is not None:
                return None
            newest = self._results.newest_finished(workflow)
            without = workflow.model_copy(update={"latest": None})
            return without if newest is None else without.advanced(newest)

        # Readers search for the newest run if the latest is gone, and the next sweep corrects the document.
        with suppress(ConcurrentChanges):
            self._results.workflow_documents.update(workflow_key(workflow_id), corrected)

    def remove_workflow_without_runs(self, workflow_id: str) -> None:
        """Remove a workflow if it has no run: its first one was deleted while it was being published."""
        found = self._results.workflow_documents.find(workflow_key(workflow_id))
        if found is not None and found.document.latest is None and not self._results.run_ids(workflow_id):
            self._store.delete(workflow_key(workflow_id), etag=found.etag)

    def mark_deleted(self, workflow_id: str, team: str) -> None:
        """Hide a workflow from all readers, for good. Raises NotFound as `ResultStore.owned_workflow` does."""

        def marked(workflow: Workflow | None) -> Workflow:
            if workflow is None or workflow.team != team:
                raise NotFound(NOT_FOUND)
            return workflow.model_copy(update={"deleted": True})

        if not is_id(workflow_id):
            raise NotFound(NOT_FOUND)
        self._results.workflow_documents.update(workflow_key(workflow_id), marked)
        self._results.index.remove(team, workflow_id)

    def remove_marked_workflow(self, workflow_id: str) -> None:
        """Remove a workflow that `mark_deleted` has hidden: its runs, then its document."""
        for run_id in self._results.run_ids(workflow_id):
            try:
                run = self._results.run(workflow_id, run_id)
            except DocumentDamaged:
                # Its parts are unknown; the next sweep removes them, since no manifest names them.
                self._store.delete(run_key(workflow_id, run_id))
                continue
            if run is not None:
                self.remove_run(run)
        found = self._results.workflow_documents.find(workflow_key(workflow_id))
        # Another process may have completed the deletion.
        if found is not None and found.document.deleted:
            self._store.delete(versions_key(workflow_id))
            self._store.delete(workflow_key(workflow_id), etag=found.etag)
