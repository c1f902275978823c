"""What deleters and publishers left when they were killed: found by a sweep, and completed or removed."""

from collections import Counter
from contextlib import suppress
from datetime import datetime

from engine.catalog.catalog import ResultStore, manifest_key, workflow_key
from engine.catalog.manifest import Workflow
from engine.catalog.removal import Removal
from engine.errors import SourceDamaged
from engine.exports.deletion import Deletion
from engine.stores.port import ObjectInfo, ObjectStore


class Unfinished:
    """One pass over the documents of a result store. What a publisher may still be at work on is ``forgotten`` then."""

    def __init__(self, results: ResultStore, exports: ObjectStore, *, forgotten: datetime, dry: bool) -> None:
        self._results = results
        self._deletion = Deletion(results, exports)
        self._removal = Removal(results)
        self._forgotten = forgotten
        self._dry = dry
        self.damaged: list[str] = []
        """Workflows whose description cannot be read; nothing of them is changed."""

    def complete(self) -> Counter[str]:
        """Complete deletions, and remove runs that no workflow will ever have; how many, by kind."""
        removed: Counter[str] = Counter()
        for workflow_id, manifests in self._documents().items():
            try:
                workflow = self._results.stored_workflow(workflow_id)
            except SourceDamaged:
                self.damaged.append(f"workflow={workflow_id}")
                continue
            if workflow is not None and workflow.deleted:
                removed["deleted workflows"] += 1
                if not self._dry:
                    self._deletion.complete(workflow_id)
                continue
            removed["lost runs"] += sum(self._remove_lost(workflow_id, info, workflow) for info in manifests)
            if workflow is not None and not self._dry:
                # A manifest that cannot be read is reported with its parts.
                with suppress(SourceDamaged):
                    self._removal.repoint(workflow_id)
        return +removed

    def _documents(self) -> dict[str, list[ObjectInfo]]:
        """The manifests of each workflow."""
        found: dict[str, list[ObjectInfo]] = {}
        for info in self._results.store.list("workflow="):
            workflow_id, _, name = info.key.removeprefix("workflow=").partition("/")
            if name == "workflow.json":
                found.setdefault(workflow_id, [])
            elif name.endswith("/run.json"):
                found.setdefault(workflow_id, []).append(info)
        return found

    def _remove_lost(self, workflow_id: str, manifest: ObjectInfo, workflow: Workflow | None) -> bool:
        """A run whose publisher was killed before it began the workflow, or had lost it to another team."""
        if manifest.modified >= self._forgotten:
            return False
        try:
            run = self._results.run(workflow_id, manifest.key.split("/")[1].removeprefix("run="))
        except SourceDamaged:
            # The sweep of parts reports it.
            return False
        if run is None or (workflow is not None and run.team in (None, workflow.team)):
            return False
        if not self._dry:
            self._removal.remove_run(run)
        return True


class RunVersions:
    """Which publication of each run is there, looked up once."""

    def __init__(self, results: ResultStore) -> None:
        self._results = results
        self._found: dict[tuple[str, str], str | None] = {}

    def deleted(self, export: ObjectInfo) -> bool:
        """Whether an export is of a run that was deleted: it is gone from its workflow, or was published anew."""
        run_id, version = export.metadata.get("run"), export.metadata.get("version")
        if run_id is None:
            return False
        pair = export.key.partition("/")[0], run_id
        if pair not in self._found:
            self._found[pair] = self._version(*pair)
        there = self._found[pair]
        return there is None or bool(there and version and there != version)

    def _version(self, workflow_id: str, run_id: str) -> str | None:
        """Empty where it is not known; None for a run that was deleted.

        Without the workflow nothing is known: the store may be another one than that of the exports.
        """
        info = self._results.store.head(manifest_key(workflow_id, run_id))
        if info is not None:
            return info.metadata.get("version", "")
        return "" if self._results.store.head(workflow_key(workflow_id)) is None else None
