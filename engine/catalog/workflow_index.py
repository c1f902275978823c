"""The ids and names of each team's workflows, so that a list reads the documents that it shows and no others.

``team={team}/workflows.json`` has at least all workflows of the team: one is added before it is created, and taken out
after it was hidden. What it has too many, after a publisher or a deletion was killed, is left out of lists; the next
sweep writes it anew. A workflow keeps its name. A team without an index, such as one of an older version, gets it by
the first list, unless the document of a workflow is damaged: it may be of that team.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from engine.catalog.manifest import Workflow
from engine.common.concurrency import read_all
from engine.common.ids import is_id
from engine.errors import DocumentDamaged, StoreError
from engine.stores.documents import Document, Documents, log_damage
from engine.stores.port import ObjectStore

MAX_BYTES = 64 * 1024 * 1024
"""Over 100,000 workflows with the longest ids and names of the same length."""

_PREFIX, _NAME = "team=", "/workflows.json"


class TeamWorkflows(Document):
    """The names of a team's workflows by their ids, in the order of these."""

    format_version: Literal[1] = 1
    team: str
    names: Mapping[str, str]

    def belongs_at(self, key: str) -> bool:
        """Whether the key is this team's."""
        return key == _key(self.team)

    def having(self, workflow_id: str, name: str) -> "TeamWorkflows":
        """The index with a workflow."""
        return _index(self.team, {**self.names, workflow_id: name})

    def without(self, workflow_id: str) -> "TeamWorkflows":
        """The index without a workflow."""
        return _index(self.team, {one: name for one, name in self.names.items() if one != workflow_id})


@dataclass(frozen=True, slots=True)
class _Scanned:
    """Names of workflows by team and id, and the ids of damaged documents, whose team is unknown."""

    names: defaultdict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    damaged: set[str] = field(default_factory=set)


class WorkflowIndex:
    """The indexes in a results store. Methods raise StoreError.

    ``list_ids`` returns the ids of all workflows, and ``read`` a workflow, None, or raises DocumentDamaged.
    """

    def __init__(
        self, store: ObjectStore, list_ids: Callable[[], list[str]], read: Callable[[str], Workflow | None]
    ) -> None:
        self._store = store
        self._list_ids = list_ids
        self._read = read
        # A damaged index counts as missing.
        self._documents = Documents(store, TeamWorkflows, max_bytes=MAX_BYTES, substitute=lambda _: None)
        self._rebuilding = Lock()

    def names(self, team: str) -> Mapping[str, str]:
        """The names of a team's workflows by their ids, in order.

        Some may have been deleted. The first call for a team without an index reads all workflows.
        """
        index = self._documents.read(_key(team))
        if index is None:
            # A second caller waits for the first, instead of reading everything as well.
            with self._rebuilding:
                index = self._documents.read(_key(team)) or self._made(team)
        return index.names

    def add(self, workflow: Workflow) -> None:
        """Add a workflow before it is created, and again when it is there: a rebuild may have missed it between."""
        self._change(workflow.team, lambda index: index.having(workflow.workflow_id, workflow.name))

    def remove(self, team: str, workflow_id: str) -> None:
        """Take out a workflow that no reader sees any more, and that nobody can publish into."""
        self._change(team, lambda index: index.without(workflow_id))

    def rebuild(self) -> None:
        """Write every index that differs from the workflows that are there."""
        found = self._scan(self._list_ids())
        indexed = (info.key.removeprefix(_PREFIX).removesuffix(_NAME) for info in self._store.list(_PREFIX))
        for team in filter(is_id, {*found.names, *indexed}):
            self._write(team, found)
        self._add_others_than(found)

    def missing(self) -> Iterator[tuple[str, list[str]]]:
        """The keys of indexes that lack workflows, with the ids of these. A damaged one lacks them all."""
        # First, since a workflow is in the index before it is there.
        found = self._scan(self._list_ids())
        for team, names in found.names.items():
            index = self._documents.read(_key(team))
            lacking = sorted(names.keys() - (index.names.keys() if index is not None else ()))
            if lacking and self._store.head(_key(team)) is not None:
                yield _key(team), lacking

    def _made(self, team: str) -> TeamWorkflows:
        found = self._scan(self._list_ids())
        # A process that may only read results can list them, though not as fast.
        with suppress(StoreError):
            self._write(team, found)
            self._add_others_than(found)
        return self._documents.read(_key(team)) or _index(team, found.names[team])

    def _write(self, team: str, found: _Scanned) -> None:
        def written(index: TeamWorkflows | None) -> TeamWorkflows | None:
            if index is None and found.damaged:
                # They may be of this team, and would be missing when their documents have been restored.
                return None
            kept = {} if index is None else {one: index.names[one] for one in found.damaged & index.names.keys()}
            return _index(team, {**kept, **found.names[team]})

        self._documents.update(_key(team), written)

    def _add_others_than(self, found: _Scanned) -> None:
        """Add the workflows that were created since, and perhaps before an index was written.

        One that was being deleted may have been created again. Whoever creates one later finds the index, and adds it
        there (`add`).
        """
        known = found.damaged.union(*found.names.values())
        for team, names in self._scan(sorted({*self._list_ids()} - known)).names.items():
            for workflow_id, name in names.items():
                self.add(Workflow(workflow_id=workflow_id, team=team, name=name))

    def _scan(self, workflow_ids: Sequence[str]) -> _Scanned:
        found = _Scanned()

        def read(workflow_id: str) -> Workflow | None:
            try:
                return self._read(workflow_id)
            except DocumentDamaged as error:
                log_damage(error)
                found.damaged.add(workflow_id)
                return None

        for workflow in read_all(read, workflow_ids):
            if not workflow.deleted:
                found.names[workflow.team][workflow.workflow_id] = workflow.name
        return found

    def _change(self, team: str, change: Callable[[TeamWorkflows], TeamWorkflows]) -> None:
        if is_id(team):
            self._documents.update(_key(team), lambda index: None if index is None else change(index))


def _index(team: str, names: Mapping[str, str]) -> TeamWorkflows:
    return TeamWorkflows(team=team, names=dict(sorted(names.items())))


def _key(team: str) -> str:
    return f"{_PREFIX}{team}{_NAME}"
