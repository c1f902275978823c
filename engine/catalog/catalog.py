"""Published results: workflows and runs by id, over any object store.

::

    workflow={id}/workflow.json
    workflow={id}/run={id}/run.json
    workflow={id}/run={id}/part-00000-{nonce}.parquet ...
    workflow={id}/run={id}/part-00000-{nonce}.bloom ...    (engine.plan.bloom_filters)
"""

from collections.abc import Iterator

from engine.catalog.manifest import Run, State, Workflow, run_key, workflow_key
from engine.common.concurrency import read_all
from engine.common.ids import is_id
from engine.errors import Conflict, DocumentDamaged, NotFound, ObjectExists, SourceDamaged, StoreUnavailable
from engine.stores.documents import ConcurrentChanges, Documents, log_damage
from engine.stores.port import ObjectInfo, ObjectStore

MAX_RUN_BYTES = 512 * 1024 * 1024
"""A run of 10,000 row groups with 300 columns has statistics of about that size."""

_NOT_FOUND = "There is no such workflow or finished run: check the ids, and that the key belongs to the owning team."

PART, ROW_ID_FILTERS = ".parquet", ".bloom"
"""How keys of parts end, and of their filters."""

PART_CHANGED = "A part of the run is missing or was changed after it was published."


class ResultStore:
    """Runs that can be resolved, listed and added; parts are read and written through ``store``."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self._workflows = Documents(store, Workflow)
        self._manifests = Documents(store, Run, max_bytes=MAX_RUN_BYTES)

    def load_workflow(self, workflow_id: str) -> Workflow | None:
        """The workflow, whoever owns it, or None. Raises DocumentDamaged."""
        return self._workflows.load(workflow_key(workflow_id)) if is_id(workflow_id) else None

    def workflow(self, workflow_id: str) -> Workflow | None:
        """The workflow, whoever owns it, or None if there is none or its document is damaged, which is logged.

        Whose a damaged one is cannot be known, so it looks like none to every team.
        """
        return self._workflows.read(workflow_key(workflow_id)) if is_id(workflow_id) else None

    def run(self, workflow_id: str, run_id: str) -> Run | None:
        """The run in any state, or None. Raises DocumentDamaged."""
        if not (is_id(workflow_id) and is_id(run_id)):
            return None
        return self._manifests.load(run_key(workflow_id, run_id))

    def owned(self, workflow_id: str, team: str) -> Workflow:
        """The workflow of a team. Raises NotFound as `resolve` does."""
        workflow = self.workflow(workflow_id)
        if workflow is None or workflow.team != team:
            raise NotFound(_NOT_FOUND)
        return workflow

    def resolve(self, workflow_id: str, run_id: str | None, team: str) -> Run:
        """The finished run that a team may export; None is its latest.

        Raises NotFound, with the same words for all that is not there and all that belongs to another team, or
        DocumentDamaged for a run of the team's own.
        """
        workflow = self.owned(workflow_id, team)
        if run_id is None and workflow.latest is not None:
            run_id = workflow.latest.run_id
        run = None if run_id is None else self.run(workflow_id, run_id)
        if run is None or run.state is not State.FINISHED:
            raise NotFound(_NOT_FOUND)
        return run

    def workflows(self) -> Iterator[Workflow]:
        """All workflows, by id; those whose document is damaged are skipped and logged."""
        keys = [info.key for info in self.store.list("workflow=") if info.key.split("/")[1:] == ["workflow.json"]]
        yield from read_all(self.workflow, [key.split("/")[0].removeprefix("workflow=") for key in keys])

    def runs(self, workflow_id: str) -> Iterator[Run]:
        """All runs of a workflow in any state, by id; those whose document is damaged are skipped and logged."""
        yield from self._runs(workflow_id, self._listed(workflow_id))

    def newest_runs(self, workflow_id: str, limit: int) -> tuple[list[Run], int]:
        """The runs of a workflow that were published last, the newest first, and how many there are in all.

        Those whose document is damaged are skipped and logged, but counted.
        """
        found = self._listed(workflow_id)
        newest = sorted(found, key=lambda info: (info.modified, info.key), reverse=True)[:limit]
        return list(self._runs(workflow_id, newest)), len(found)

    def check_parts(self, run: Run) -> None:
        """Raise SourceDamaged unless every part is the version that was published, so that no two are ever mixed.

        Where parts are read through the store, each read is pinned to the version, and nothing is left to check.
        """
        for part in run.parts:
            path = self.store.local_path(part.key)
            if path is None:
                return
            info = self.store.head(part.key)
            if info is None and path.is_dir():
                raise StoreUnavailable("A part of the run is a directory, not a file: restore it from a copy.")
            if info is None or (info.size, info.etag) != (part.bytes, part.etag):
                raise SourceDamaged(PART_CHANGED)

    def claim(self, workflow_id: str, team: str, name: str) -> Workflow:
        """The workflow, made for that team if it is new. Raises Conflict if another team has it, or DocumentDamaged."""
        workflow = self.load_workflow(workflow_id)
        if workflow is None:
            made = Workflow(workflow_id=workflow_id, team=team, name=name)
            try:
                self._workflows.create(workflow_key(workflow_id), made)
            except ObjectExists:
                workflow = self.load_workflow(workflow_id)
            else:
                return made
        if workflow is None or workflow.team != team:
            raise Conflict(
                f"The workflow {workflow_id} belongs to another team: publish with its --team, or to another id."
            )
        return workflow

    def add(self, run: Run) -> None:
        """Make a run visible. Raises Conflict if there is a run of that id; after any other error it may be there."""
        try:
            self._manifests.create(run_key(run.workflow_id, run.run_id), run)
        except ObjectExists:
            raise Conflict(f"The run {run.run_id} is published already; runs never change: take a new id.") from None

    def advance(self, run: Run) -> None:
        """Make a run its workflow's latest, if it is; a compare-and-swap, so concurrent publishers lose nothing."""

        def advanced(workflow: Workflow | None) -> Workflow:
            if workflow is None:
                raise Conflict(f"The workflow {run.workflow_id} vanished while a run of it was published.")
            return workflow.advanced(run)

        try:
            self._workflows.update(workflow_key(run.workflow_id), advanced)
        except ConcurrentChanges as error:
            raise Conflict(
                f"The run {run.run_id} is published, but too many publishers were busy to make it the latest: "
                "publish it again."
            ) from error

    def _listed(self, workflow_id: str) -> list[ObjectInfo]:
        found = self.store.list(f"workflow={workflow_id}/run=")
        return [info for info in found if info.key.split("/")[2:] == ["run.json"]]

    def _runs(self, workflow_id: str, manifests: list[ObjectInfo]) -> Iterator[Run]:
        ids = [info.key.split("/")[1].removeprefix("run=") for info in manifests]
        return read_all(lambda run_id: self._readable_run(workflow_id, run_id), ids)

    def _readable_run(self, workflow_id: str, run_id: str) -> Run | None:
        try:
            return self.run(workflow_id, run_id)
        except DocumentDamaged as error:
            log_damage(error)
            return None
