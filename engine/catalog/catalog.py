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
from engine.errors import DocumentDamaged, NotFound, SourceDamaged
from engine.stores.documents import Documents, log_damage
from engine.stores.port import ObjectInfo, ObjectStore

MAX_RUN_BYTES = 512 * 1024 * 1024
"""A run of 10,000 row groups with 300 columns has statistics of about that size."""

NOT_FOUND = "There is no such workflow or finished run: check the ids, and that the key belongs to the owning team."

PART, ROW_ID_FILTERS = ".parquet", ".bloom"
"""How keys of parts end, and of their filters."""

PART_CHANGED = "A part of the run is missing or was changed after it was published."


class ResultStore:
    """Runs that can be resolved and listed; parts are read and written through ``store``.

    `engine.catalog.commits` adds runs, `engine.catalog.removal` removes them.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.workflow_documents = Documents(store, Workflow)
        self.run_documents = Documents(store, Run, max_bytes=MAX_RUN_BYTES)

    def stored_workflow(self, workflow_id: str) -> Workflow | None:
        """The workflow, whoever owns it, also one whose deletion has begun, or None. Raises DocumentDamaged."""
        return self.workflow_documents.load(workflow_key(workflow_id)) if is_id(workflow_id) else None

    def workflow(self, workflow_id: str) -> Workflow | None:
        """The workflow, whoever owns it, or None if there is none or its document is damaged, which is logged.

        The owner of a damaged one cannot be known, so no team sees it.
        """
        found = self.workflow_documents.read(workflow_key(workflow_id)) if is_id(workflow_id) else None
        return None if found is None or found.deleted else found

    def run(self, workflow_id: str, run_id: str) -> Run | None:
        """The run in any state, or None. Raises DocumentDamaged."""
        if not (is_id(workflow_id) and is_id(run_id)):
            return None
        return self.run_documents.load(run_key(workflow_id, run_id))

    def owned(self, workflow_id: str, team: str) -> Workflow:
        """The workflow of a team. Raises NotFound as `resolve` does."""
        workflow = self.workflow(workflow_id)
        if workflow is None or workflow.team != team:
            raise NotFound(NOT_FOUND)
        return workflow

    def resolve(self, workflow_id: str, run_id: str | None, team: str) -> Run:
        """The finished run that a team may export; None is its latest.

        Raises NotFound, with the same words for all that is not there and all that belongs to another team, or
        DocumentDamaged for a run of the team's own.
        """
        workflow = self.owned(workflow_id, team)
        if run_id is None and workflow.latest is not None:
            run_id = workflow.latest.run_id
            run = self.run(workflow_id, run_id)
            if run is None:
                # It was deleted, and its deleter has not come to the workflow yet.
                run = self.newest_finished(workflow)
        else:
            run = None if run_id is None else self.run(workflow_id, run_id)
        if run is None or run.state is not State.FINISHED or run.team not in (None, team):
            raise NotFound(NOT_FOUND)
        return run

    def workflows(self) -> Iterator[Workflow]:
        """All workflows, by id; those whose document is damaged are skipped and logged."""
        keys = [info.key for info in self.store.list("workflow=") if info.key.split("/")[1:] == ["workflow.json"]]
        yield from read_all(self.workflow, [key.split("/")[0].removeprefix("workflow=") for key in keys])

    def runs(self, workflow_id: str) -> Iterator[Run]:
        """All runs of a workflow in any state, by id; those whose document is damaged are skipped and logged."""
        yield from self._owned_runs(workflow_id, self._manifests(workflow_id))

    def newest_runs(self, workflow_id: str, limit: int) -> tuple[list[Run], int]:
        """The runs of a workflow that were published last, the newest first, and how many there are in all.

        Those whose document is damaged are skipped and logged, but counted.
        """
        found = self._manifests(workflow_id)
        newest = sorted(found, key=lambda info: (info.modified, info.key), reverse=True)[:limit]
        return list(self._owned_runs(workflow_id, newest)), len(found)

    def check_parts(self, run: Run) -> None:
        """Raise SourceDamaged unless every part is the version that was published, so that no two are ever mixed.

        Where parts are read through the store, each read is pinned to the version, and nothing is left to check.
        """
        for part in run.parts:
            if self.store.local_path(part.key) is None:
                return
            info = self.store.head(part.key)
            if info is None or (info.size, info.etag) != (part.bytes, part.etag):
                raise SourceDamaged(PART_CHANGED)

    def has(self, run: Run) -> bool:
        """Whether that publication of the run is there: neither deleted, nor deleted and published anew."""
        info = self.store.head(run_key(run.workflow_id, run.run_id))
        # Manifests written by older versions do not say which publication they are of.
        return info is not None and info.metadata.get("version", run.version) == run.version

    def newest_finished(self, workflow: Workflow) -> Run | None:
        """The finished run that was executed last, by reading the manifests of all."""
        runs = self._runs(workflow.workflow_id, self._manifests(workflow.workflow_id))
        finished = [run for run in runs if run.state is State.FINISHED and run.team in (None, workflow.team)]
        return max(finished, key=lambda run: (run.at, run.run_id), default=None)

    def run_ids(self, workflow_id: str) -> list[str]:
        """The ids of all manifests, also of those that readers do not see."""
        return [_run_id_of(info.key) for info in self._manifests(workflow_id)]

    def _manifests(self, workflow_id: str) -> list[ObjectInfo]:
        found = self.store.list(f"workflow={workflow_id}/run=")
        return [info for info in found if info.key.split("/")[2:] == ["run.json"]]

    def _owned_runs(self, workflow_id: str, manifests: list[ObjectInfo]) -> Iterator[Run]:
        """Without what publishers of other teams left when they lost the workflow and died."""
        workflow = self.workflow(workflow_id)
        if workflow is not None:
            yield from (run for run in self._runs(workflow_id, manifests) if run.team in (None, workflow.team))

    def _runs(self, workflow_id: str, manifests: list[ObjectInfo]) -> Iterator[Run]:
        ids = [_run_id_of(info.key) for info in manifests]
        return read_all(lambda run_id: self._readable_run(workflow_id, run_id), ids)

    def _readable_run(self, workflow_id: str, run_id: str) -> Run | None:
        try:
            return self.run(workflow_id, run_id)
        except DocumentDamaged as error:
            log_damage(error)
            return None


def _run_id_of(key: str) -> str:
    return key.split("/")[1].removeprefix("run=")
