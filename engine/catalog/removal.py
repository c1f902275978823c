"""Removing runs and workflows: what readers go by first, then what it names.

A run goes with its manifest. A workflow is marked before anything of it is removed, so that no reader sees half of it
and whoever comes after a deleter that was killed completes the deletion.
"""

import random
import time
from contextlib import suppress

from engine.catalog.catalog import NOT_FOUND, ResultStore, manifest_key, parsed, workflow_key
from engine.catalog.manifest import Run, Workflow
from engine.errors import NotFound, ObjectChanged, ObjectMissing, SourceDamaged

_SWAP_ATTEMPTS = 20


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
        key = manifest_key(run.workflow_id, run.run_id)
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
        key = workflow_key(workflow_id)
        for attempt in range(_SWAP_ATTEMPTS):
            info = self._store.head(key)
            if info is None:
                return
            try:
                workflow = parsed(Workflow, self._store.read(key, etag=info.etag))
                latest = workflow.latest
                if latest is None or self._store.head(manifest_key(workflow_id, latest.run_id)) is not None:
                    return
                left = self._results.newest_finished(workflow)
                bare = workflow.model_copy(update={"latest": None})
                self._store.replace(key, (bare if left is None else bare.advanced(left)).encode(), etag=info.etag)
            except (ObjectChanged, ObjectMissing):
                time.sleep(random.uniform(0, 0.02 * (attempt + 1)))  # noqa: S311  # jitter, not a secret
        # Readers look for the newest run by themselves where the latest is gone, and a sweep comes here again.

    def mark_deleted(self, workflow_id: str, team: str) -> Workflow:
        """Hide a workflow from all readers, for good. Raises NotFound as `owned` does."""
        key = workflow_key(workflow_id)
        while True:
            workflow = self._results.stored_workflow(workflow_id)
            info = self._store.head(key)
            if workflow is None or info is None or workflow.team != team:
                raise NotFound(NOT_FOUND)
            if workflow.deleted:
                return workflow
            try:
                workflow = parsed(Workflow, self._store.read(key, etag=info.etag))
                marked = workflow.model_copy(update={"deleted": True})
                if workflow.team == team:
                    self._store.replace(key, marked.encode(), etag=info.etag)
                    return marked
            except (ObjectChanged, ObjectMissing):
                continue

    def remove_marked(self, workflow_id: str) -> None:
        """Remove a workflow that `mark_deleted` has hidden: its runs, then its description."""
        for run_id in self._results.run_ids(workflow_id):
            try:
                run = self._results.run(workflow_id, run_id)
            except SourceDamaged:
                # What it names is not known: a sweep finds parts that no manifest names.
                self._store.delete(manifest_key(workflow_id, run_id))
                continue
            if run is not None:
                self.remove_run(run)
        info = self._store.head(workflow_key(workflow_id))
        # Another deleter may have been faster.
        with suppress(ObjectMissing, ObjectChanged):
            if info is not None and parsed(Workflow, self._store.read(info.key, etag=info.etag)).deleted:
                self._store.delete(info.key, etag=info.etag)
