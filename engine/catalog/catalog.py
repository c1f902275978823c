"""Published results: workflows and runs by id, over any object store.

::

    workflow={id}/workflow.json
    workflow={id}/run={id}/run.json
    workflow={id}/run={id}/part-00000-{nonce}.parquet ...
    workflow={id}/run={id}/part-00000-{nonce}.bloom ...    (engine.plan.bloom_filters)
"""

import random
import time
from collections.abc import Iterator
from typing import TypeVar

from pydantic import ValidationError

from engine.catalog.manifest import Run, State, Workflow
from engine.common.concurrency import read_all
from engine.common.ids import is_id
from engine.errors import Conflict, NotFound, ObjectChanged, ObjectExists, ObjectMissing, SourceDamaged
from engine.stores.port import ObjectInfo, ObjectStore

_JSON = "application/json"
_SWAP_ATTEMPTS = 20
_NOT_FOUND = "There is no such workflow or finished run: check the ids, and that the key belongs to the owning team."

PART, ROW_ID_FILTERS = ".parquet", ".bloom"
"""How keys of parts end, and of their filters."""

PART_CHANGED = "A part of the run is missing or was changed after it was published."

_DocumentT = TypeVar("_DocumentT", Run, Workflow)


class ResultStore:
    """Runs that can be resolved, listed and added; parts are read and written through ``store``."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def workflow(self, workflow_id: str) -> Workflow | None:
        """The workflow, whoever owns it, or None."""
        if not is_id(workflow_id):
            return None
        content = self._read(_workflow_key(workflow_id))
        return None if content is None else _parsed(Workflow, content)

    def run(self, workflow_id: str, run_id: str) -> Run | None:
        """The run in any state, or None."""
        if not (is_id(workflow_id) and is_id(run_id)):
            return None
        content = self._read(f"{run_prefix(workflow_id, run_id)}run.json")
        return None if content is None else _parsed(Run, content)

    def owned(self, workflow_id: str, team: str) -> Workflow:
        """The workflow of a team. Raises NotFound as `resolve` does."""
        workflow = self.workflow(workflow_id)
        if workflow is None or workflow.team != team:
            raise NotFound(_NOT_FOUND)
        return workflow

    def resolve(self, workflow_id: str, run_id: str | None, team: str) -> Run:
        """The finished run that a team may export; None is its latest.

        Raises NotFound, with the same words for all that is not there and all that belongs to another team.
        """
        workflow = self.owned(workflow_id, team)
        if run_id is None and workflow.latest is not None:
            run_id = workflow.latest.run_id
        run = None if run_id is None else self.run(workflow_id, run_id)
        if run is None or run.state is not State.FINISHED:
            raise NotFound(_NOT_FOUND)
        return run

    def workflows(self) -> Iterator[Workflow]:
        """All workflows, by id."""
        keys = [info.key for info in self.store.list("workflow=") if info.key.endswith("/workflow.json")]
        yield from read_all(self.workflow, [key.split("/")[0].removeprefix("workflow=") for key in keys])

    def runs(self, workflow_id: str) -> Iterator[Run]:
        """All runs of a workflow in any state, by id."""
        yield from self._runs(workflow_id, self._manifests(workflow_id))

    def newest_runs(self, workflow_id: str, limit: int) -> tuple[list[Run], int]:
        """The runs of a workflow that were published last, the newest first, and how many there are in all."""
        found = self._manifests(workflow_id)
        newest = sorted(found, key=lambda info: (info.modified, info.key), reverse=True)[:limit]
        return list(self._runs(workflow_id, newest)), len(found)

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

    def claim(self, workflow_id: str, team: str, name: str) -> Workflow:
        """The workflow, made for that team if it is new. Raises Conflict if another team has it."""
        workflow = self.workflow(workflow_id)
        if workflow is None:
            made = Workflow(workflow_id=workflow_id, team=team, name=name)
            try:
                self.store.create(_workflow_key(workflow_id), made.encode(), content_type=_JSON, metadata={})
            except ObjectExists:
                workflow = self.workflow(workflow_id)
            else:
                return made
        if workflow is None or workflow.team != team:
            raise Conflict(
                f"The workflow {workflow_id} belongs to another team: publish with its --team, or to another id."
            )
        return workflow

    def add(self, run: Run) -> None:
        """Make a run visible. Raises Conflict if there is a run of that id; after any other error it may be there."""
        key = f"{run_prefix(run.workflow_id, run.run_id)}run.json"
        try:
            self.store.create(key, run.encode(), content_type=_JSON, metadata={})
        except ObjectExists:
            raise Conflict(f"The run {run.run_id} is published already; runs never change: take a new id.") from None

    def advance(self, run: Run) -> None:
        """Make a run its workflow's latest, if it is; a compare-and-swap, so concurrent publishers lose nothing."""
        key = _workflow_key(run.workflow_id)
        for attempt in range(_SWAP_ATTEMPTS):
            info = self.store.head(key)
            if info is None:
                raise Conflict(f"The workflow {run.workflow_id} vanished while a run of it was published.")
            try:
                workflow = _parsed(Workflow, self.store.read(key, etag=info.etag))
                advanced = workflow.advanced(run)
                if advanced != workflow:
                    self.store.replace(key, advanced.encode(), etag=info.etag)
            except (ObjectChanged, ObjectMissing):
                time.sleep(random.uniform(0, 0.02 * (attempt + 1)))  # noqa: S311  # jitter, not a secret
            else:
                return
        raise Conflict(
            f"The run {run.run_id} is published, but too many publishers were busy to make it the latest: "
            "publish it again."
        )

    def _manifests(self, workflow_id: str) -> list[ObjectInfo]:
        return [info for info in self.store.list(f"workflow={workflow_id}/run=") if info.key.endswith("/run.json")]

    def _runs(self, workflow_id: str, manifests: list[ObjectInfo]) -> Iterator[Run]:
        ids = [info.key.split("/")[1].removeprefix("run=") for info in manifests]
        return read_all(lambda run_id: self.run(workflow_id, run_id), ids)

    def _read(self, key: str) -> bytes | None:
        try:
            return self.store.read(key)
        except ObjectMissing:
            return None


def run_prefix(workflow_id: str, run_id: str) -> str:
    """The folder of a run, with its ``/``."""
    return f"workflow={workflow_id}/run={run_id}/"


def _workflow_key(workflow_id: str) -> str:
    return f"workflow={workflow_id}/workflow.json"


def _parsed(kind: type[_DocumentT], content: bytes) -> _DocumentT:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise SourceDamaged("The description of a published run cannot be read.") from error
