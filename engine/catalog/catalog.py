"""The catalog of published results: workflows and runs by id, in any object store.

::

    workflow={id}/workflow.json
    workflow={id}/versions.json                            (engine.catalog.table_versions)
    workflow={id}/run={id}/run.json
    workflow={id}/run={id}/part-00000-{nonce}.parquet ...
    workflow={id}/run={id}/part-00000-{nonce}.bloom ...    (engine.plan.bloom_filters)
    team={id}/workflows.json                               (engine.catalog.workflow_index)
"""

from collections.abc import Iterator, Sequence

from engine.catalog.manifest import Run, State, Workflow, run_key, workflow_key
from engine.catalog.workflow_index import WorkflowIndex
from engine.common.concurrency import read_all
from engine.common.ids import is_id
from engine.errors import InvalidRequest, NotFound, SourceDamaged, StoreUnavailable
from engine.stores.documents import Documents
from engine.stores.port import ObjectInfo, ObjectStore

MAX_RUN_BYTES = 512 * 1024 * 1024
"""About the size of the statistics of a run with 10,000 row groups and 300 columns."""

_PARSED_BYTES = 2 * 1024 * 1024
"""Of manifests that are not parsed again: that of 10 M rows has 100 KB, and their objects take seven times as much."""

NOT_FOUND = "There is no such workflow or finished run: check the ids, and that the key belongs to the owning team."

PART_SUFFIX, ROW_ID_FILTERS_SUFFIX = ".parquet", ".bloom"

PART_CHANGED = "A part of the run is missing or has changed since it was published."


class ResultStore:
    """Finds and lists workflows and runs; parts are read and written through ``store``.

    `engine.catalog.commits` adds runs, `engine.catalog.removal` removes them. Every method raises StoreError.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.workflow_documents = Documents(store, Workflow)
        self.run_documents = Documents(store, Run, max_bytes=MAX_RUN_BYTES, parsed_bytes=_PARSED_BYTES)
        self.index = WorkflowIndex(store, self.workflow_ids, self.stored_workflow)

    def stored_workflow(self, workflow_id: str) -> Workflow | None:
        """The workflow of any team, even if it is being deleted, or None. Raises DocumentDamaged."""
        return self.workflow_documents.load(workflow_key(workflow_id)) if is_id(workflow_id) else None

    def workflow(self, workflow_id: str) -> Workflow | None:
        """The workflow of any team, or None if it does not exist, is being deleted, or its document is damaged.

        A damaged document is logged. Its owner is unknown, so no team sees the workflow.
        """
        workflow = self.workflow_documents.read(workflow_key(workflow_id)) if is_id(workflow_id) else None
        return None if workflow is None or workflow.deleted else workflow

    def run(self, workflow_id: str, run_id: str) -> Run | None:
        """The run in any state, or None. Raises DocumentDamaged."""
        if not (is_id(workflow_id) and is_id(run_id)):
            return None
        return self.run_documents.load(run_key(workflow_id, run_id))

    def owned_workflow(self, workflow_id: str, team: str) -> Workflow:
        """The workflow if the team owns it. Raises NotFound as `resolve` does."""
        workflow = self.workflow(workflow_id)
        if workflow is None or workflow.team != team:
            raise NotFound(NOT_FOUND)
        return workflow

    def resolve(self, workflow_id: str, run_id: str | None, team: str) -> Run:
        """The finished run that a team may export; the latest one if ``run_id`` is None.

        Raises NotFound, with one message for what does not exist and what belongs to another team, or DocumentDamaged
        if the run belongs to the team and its manifest is damaged.
        """
        workflow = self.owned_workflow(workflow_id, team)
        run = self._latest_run(workflow) if run_id is None else self.run(workflow_id, run_id)
        if run is None or run.state is not State.FINISHED or run.team not in (None, team):
            raise NotFound(NOT_FOUND)
        return run

    def workflows(self) -> Iterator[Workflow]:
        """All workflows in the order of their ids; damaged documents are skipped and logged."""
        yield from read_all(self.workflow, self.workflow_ids())

    def workflow_ids(self) -> list[str]:
        """The ids of all documents of workflows, including those that readers do not see."""
        keys = [info.key for info in self.store.list("workflow=") if info.key.split("/")[1:] == ["workflow.json"]]
        return [key.split("/")[0].removeprefix("workflow=") for key in keys]

    def workflows_of(self, team: str, offset: int, limit: int, search: str = "") -> tuple[list[Workflow], int]:
        """Workflows of a team in the order of their ids, and how many there are: ``limit`` after the first ``offset``.

        ``search``, in lower case, has to be part of the id or the name. A workflow whose document is damaged is counted
        and skipped, and logged.
        """
        names = self.index.names(team)
        ids = [one for one, name in names.items() if search in one.casefold() or search in name.casefold()]
        return list(self._owned_by(team, ids[offset : offset + limit])), len(ids)

    def workflows_after(self, team: str, workflow_id: str) -> Iterator[Workflow]:
        """The workflows of a team whose ids are greater, in order. Their documents are read while one iterates."""
        return self._owned_by(team, [one for one in self.index.names(team) if one > workflow_id])

    def _owned_by(self, team: str, ids: Sequence[str]) -> Iterator[Workflow]:
        return (workflow for workflow in read_all(self.workflow, ids) if workflow.team == team)

    def runs(self, workflow_id: str) -> Iterator[Run]:
        """All runs of a workflow in any state, in the order of their ids; damaged manifests are skipped and logged."""
        yield from self._owned_runs(workflow_id, self.manifests(workflow_id))

    def newest_runs(self, workflow_id: str, limit: int | None, offset: int = 0) -> tuple[Iterator[Run], int]:
        """Runs of a workflow by when they were published, newest first, and the number of all its runs.

        There are at most ``limit`` of them, after the first ``offset``. Their manifests are read while one iterates.
        Damaged manifests are skipped and logged, but counted.
        """
        manifests = self.manifests(workflow_id)
        newest = sorted(manifests, key=lambda info: (info.modified, info.key), reverse=True)[offset:][:limit]
        return self._owned_runs(workflow_id, newest), len(manifests)

    def latest_rows(self, workflow: Workflow) -> int | None:
        """The number of rows of the latest finished run; None without one, or if its manifest cannot be read."""
        latest = workflow.latest
        if latest is None or latest.rows is not None:
            return None if latest is None else latest.rows
        run = self.run_documents.read(run_key(workflow.workflow_id, latest.run_id))
        return None if run is None else run.rows

    def check_parts(self, *runs: Run) -> None:
        """Raise SourceDamaged unless every part is the version that was published; StoreUnavailable for a directory.

        Only parts that are read as local files are checked: a read through the store names the version itself.
        """
        for part in (part for run in runs for part in run.parts):
            path = self.store.local_path(part.key)
            if path is None:
                return
            info = self.store.head(part.key)
            if info is None and path.is_dir():
                raise StoreUnavailable("A part of the run is a directory, not a file: restore it from a copy.")
            if info is None or (info.size, info.etag) != (part.bytes, part.etag):
                raise SourceDamaged(PART_CHANGED)

    def has(self, run: Run) -> bool:
        """Whether this publication of the run exists: it was not deleted, nor deleted and published again."""
        return is_manifest_of(run, self.store.head(run_key(run.workflow_id, run.run_id)))

    def newest_finished(self, workflow: Workflow) -> Run | None:
        """The finished run that was executed last; reads the manifests of all runs."""
        runs = self._runs(self.manifests(workflow.workflow_id))
        finished = [run for run in runs if run.state is State.FINISHED and run.team in (None, workflow.team)]
        return max(finished, key=lambda run: (run.at, run.run_id), default=None)

    def resolve_previous(self, run: Run, previous: str | bool, team: str) -> Run | None:
        """Another finished run of the same workflow: of that id, or for true the one executed before; None for false.

        For true, the manifests of all runs are read. Raises NotFound as `resolve` does, or InvalidRequest if there is
        no run before.
        """
        if isinstance(previous, str):
            return self.resolve(run.workflow_id, previous, team)
        if not previous:
            return None
        runs = self._owned_runs(run.workflow_id, self.manifests(run.workflow_id))
        earlier = (one for one in runs if one.state is State.FINISHED and (one.at, one.run_id) < (run.at, run.run_id))
        found = max(earlier, key=lambda one: (one.at, one.run_id), default=None)
        if found is None:
            raise InvalidRequest(
                f"previous: the workflow has no finished run before {run.run_id}; name a run, or leave it out.",
                parameter="previous",
            )
        return found

    def run_ids(self, workflow_id: str) -> list[str]:
        """The ids of all manifests, including those that readers do not see."""
        return [run_id_of(info.key) for info in self.manifests(workflow_id)]

    def _latest_run(self, workflow: Workflow) -> Run | None:
        if workflow.latest is None:
            return None
        # A deletion removes the run before it updates the workflow.
        return self.run(workflow.workflow_id, workflow.latest.run_id) or self.newest_finished(workflow)

    def manifests(self, workflow_id: str) -> list[ObjectInfo]:
        """The objects of all manifests, including those that readers do not see."""
        listed = self.store.list(f"workflow={workflow_id}/run=")
        return [info for info in listed if info.key.split("/")[2:] == ["run.json"]]

    def _owned_runs(self, workflow_id: str, manifests: list[ObjectInfo]) -> Iterator[Run]:
        """The runs of the workflow's team: a publisher of another team that was killed may have left a manifest."""
        workflow = self.workflow(workflow_id)
        if workflow is not None:
            yield from (run for run in self._runs(manifests) if run.team in (None, workflow.team))

    def _runs(self, manifests: list[ObjectInfo]) -> Iterator[Run]:
        keys = [info.key for info in manifests if is_id(run_id_of(info.key))]
        return read_all(self.run_documents.read, keys)


def is_manifest_of(run: Run, info: ObjectInfo | None) -> bool:
    """Whether a manifest, as `ObjectStore.head` returns it, is of this publication of the run.

    Manifests written by older versions do not name their publication; they match.
    """
    return info is not None and info.metadata.get("version", run.version) == run.version


def run_id_of(key: str) -> str:
    """The run id in the key of a manifest."""
    return key.split("/")[1].removeprefix("run=")
