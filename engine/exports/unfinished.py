"""Changes of the catalog that were interrupted because their process was killed. A sweep completes or removes them."""

from collections import Counter
from contextlib import suppress
from datetime import datetime

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Workflow, run_key, workflow_key
from engine.catalog.removal import Removal
from engine.errors import DocumentDamaged, SourceDamaged
from engine.exports.deletion import Deletion
from engine.exports.export import read_metadata, runs_of
from engine.stores.port import ObjectInfo, ObjectStore


class InterruptedChanges:
    """One pass over the documents of a results store. A publisher may still be at work on what is newer than
    ``abandoned_before``. ``dry_run`` only counts.
    """

    def __init__(
        self, results: ResultStore, exports: ObjectStore, *, abandoned_before: datetime, dry_run: bool
    ) -> None:
        self._results = results
        self._deletion = Deletion(results, exports)
        self._removal = Removal(results)
        self._abandoned_before = abandoned_before
        self._dry_run = dry_run
        self.damaged: list[str] = []
        """The folders of workflows whose document cannot be read; nothing in them is changed."""

    def complete(self) -> Counter[str]:
        """Complete deletions and remove runs without a workflow; returns the numbers by kind. Raises StoreError."""
        removed: Counter[str] = Counter()
        for workflow_id, manifests in self._documents().items():
            try:
                workflow = self._results.stored_workflow(workflow_id)
            except SourceDamaged:
                self.damaged.append(f"workflow={workflow_id}")
                continue
            if workflow is not None and workflow.deleted:
                removed["deleted workflows"] += 1
                if not self._dry_run:
                    self._deletion.complete(workflow_id)
                continue
            removed["lost runs"] += sum(self._remove_lost(workflow_id, info, workflow) for info in manifests)
            if workflow is not None and not self._dry_run:
                # A manifest that cannot be read is reported with its parts.
                with suppress(SourceDamaged):
                    self._removal.correct_latest(workflow_id)
        return +removed

    def _documents(self) -> dict[str, list[ObjectInfo]]:
        """The manifests by workflow id."""
        found: dict[str, list[ObjectInfo]] = {}
        for info in self._results.store.list("workflow="):
            workflow_id, _, name = info.key.removeprefix("workflow=").partition("/")
            if name == "workflow.json":
                found.setdefault(workflow_id, [])
            elif name.endswith("/run.json"):
                found.setdefault(workflow_id, []).append(info)
        return found

    def _remove_lost(self, workflow_id: str, manifest: ObjectInfo, workflow: Workflow | None) -> bool:
        """Remove a run whose publisher was killed before it wrote the workflow, or lost it to another team."""
        if manifest.modified >= self._abandoned_before:
            return False
        try:
            run = self._results.run(workflow_id, manifest.key.split("/")[1].removeprefix("run="))
        except SourceDamaged:
            # The sweep of parts reports it.
            return False
        if run is None or (workflow is not None and run.team in (None, workflow.team)):
            return False
        if not self._dry_run:
            self._removal.remove_run(run)
        return True


class RunVersions:
    """The current publication of each run; each is looked up once."""

    def __init__(self, results: ResultStore) -> None:
        self._results = results
        self._found: dict[tuple[str, str], str | None] = {}

    def was_deleted(self, export: ObjectInfo) -> bool:
        """Whether a run of an export was deleted: its workflow no longer has it, or it was published again."""
        try:
            read_metadata(export)
        except DocumentDamaged:
            # Which run it is of is not known: it goes when its time is over.
            return False
        return any(self._is_gone(export.key.partition("/")[0], *made_of) for made_of in runs_of(export))

    def _is_gone(self, workflow_id: str, run_id: str | None, version: str | None) -> bool:
        pair = workflow_id, run_id or ""
        if pair not in self._found:
            self._found[pair] = self._version(*pair)
        current = self._found[pair]
        return current is None or bool(current and version and current != version)

    def _version(self, workflow_id: str, run_id: str) -> str | None:
        """The version of a run: None if it was deleted, empty if that is unknown.

        It is unknown without the workflow's document: the exports may be of another results store.
        """
        info = self._results.store.head(run_key(workflow_id, run_id))
        if info is not None:
            return info.metadata.get("version", "")
        return "" if self._results.store.head(workflow_key(workflow_id)) is None else None
