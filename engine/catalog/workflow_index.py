"""The ids and names of each team's workflows, so that a list reads the documents that it shows and no others.

``team={team}/workflows.json`` has at least all workflows of the team: one is added before it is created, and taken out
after it was hidden. What it has too many, after a publisher or a deletion was killed, is left out of lists; the next
sweep writes it anew. A workflow keeps its name. A team without it, such as one of an older version, gets it by the
first list.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Literal

from engine.catalog.manifest import Workflow
from engine.common.concurrency import read_all
from engine.common.ids import is_id
from engine.errors import StoreError
from engine.stores.documents import Document, Documents
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


class WorkflowIndex:
    """The indexes in a results store. Methods raise StoreError.

    ``list_ids`` returns the ids of all workflows, and ``read`` a workflow, or None if no reader sees it.
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
        listed = self._list_ids()
        teams: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for workflow in read_all(self._read, listed):
            teams[workflow.team][workflow.workflow_id] = workflow.name
        indexed = (info.key.removeprefix(_PREFIX).removesuffix(_NAME) for info in self._store.list(_PREFIX))
        for team in filter(is_id, {*teams, *indexed}):
            self._write(_index(team, teams[team]))
        self._add_later_than(listed)

    def _made(self, team: str) -> TeamWorkflows:
        listed = self._list_ids()
        owned = (workflow for workflow in read_all(self._read, listed) if workflow.team == team)
        index = _index(team, {workflow.workflow_id: workflow.name for workflow in owned})
        # A process that may only read results can list them, though not as fast.
        with suppress(StoreError):
            self._write(index)
            self._add_later_than(listed)
        return self._documents.read(_key(team)) or index

    def _write(self, index: TeamWorkflows) -> None:
        self._documents.update(_key(index.team), lambda _: index)

    def _add_later_than(self, listed: Sequence[str]) -> None:
        """Add the workflows that were created since, and perhaps before an index was written.

        Whoever creates one later finds the index, and adds it there (`add`).
        """
        for workflow in read_all(self._read, sorted({*self._list_ids()}.difference(listed))):
            self.add(workflow)

    def _change(self, team: str, change: Callable[[TeamWorkflows], TeamWorkflows]) -> None:
        if is_id(team):
            self._documents.update(_key(team), lambda index: None if index is None else change(index))


def _index(team: str, names: Mapping[str, str]) -> TeamWorkflows:
    return TeamWorkflows(team=team, names=dict(sorted(names.items())))


def _key(team: str) -> str:
    return f"{_PREFIX}{team}{_NAME}"
