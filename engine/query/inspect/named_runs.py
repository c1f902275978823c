"""The runs that statements name. They are read when a statement fails because the session does not know one yet.

So a session over thousands of workflows reads the documents of one for ``FROM result('jobs')``: DuckDB says which.
"""

import json
import re
from collections.abc import Callable, MutableMapping
from typing import TypeVar

import duckdb

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Part, State
from engine.common.concurrency import read_all
from engine.common.ids import ID
from engine.common.quoting import literal
from engine.errors import DocumentDamaged
from engine.query.inspect.manifest_rows import source_row
from engine.query.inspect.sources import HISTORIES, SELECTS, PathOf, add_history, add_source, no_values

VARIABLE = "_tailrace_"
"""The prefix of the session's variables, which hold what is known, as JSON."""

_UNKNOWN = re.compile(rf"There is no (finished|failed) run (?:({ID.pattern}) )?of a workflow ({ID.pattern});")
_UNKNOWN_HISTORY = re.compile(rf"There is no history of a workflow ({ID.pattern});")

_ResultT = TypeVar("_ResultT")
_DocumentT = TypeVar("_DocumentT")


class NamedRuns:
    """Finds runs for statements. ``parts`` receives the parts of each run that is found, by key."""

    def __init__(
        self,
        results: ResultStore,
        parts: MutableMapping[str, Part],
        path_of: PathOf,
        report: Callable[[str], None],
    ) -> None:
        self._results = results
        self._parts = parts
        self._path_of = path_of
        self._report = report
        self._known = no_values()

    def run(self, connection: duckdb.DuckDBPyConnection, statement: Callable[[], _ResultT]) -> _ResultT:
        """The result of a statement, which is tried again for each run that it names and that is found.

        A statement names runs in constant arguments, which DuckDB evaluates before it runs anything. Raises
        duckdb.Error or StoreError.
        """
        while True:
            try:
                return statement()
            except duckdb.Error as error:
                if not self._found(str(error)):
                    raise
            self._set_variables(connection)

    def forget(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Read runs again when statements next name them."""
        self._known = no_values()
        self._set_variables(connection)

    def _set_variables(self, connection: duckdb.DuckDBPyConnection) -> None:
        for name, known in self._known.items():
            connection.execute(f"SET VARIABLE {VARIABLE}{name} = {literal(json.dumps(known))}")

    def _found(self, message: str) -> bool:
        """Whether what the message says to be unknown is known now."""
        if (unknown := _UNKNOWN.search(message)) is not None:
            return self._find(unknown[3], unknown[2], finished=unknown[1] == "finished")
        history = _UNKNOWN_HISTORY.search(message)
        return history is not None and self._find_history(history[1])

    def _find_history(self, workflow_id: str) -> bool:
        ids = self._results.run_ids(workflow_id)
        runs = [*read_all(lambda run_id: self._read(lambda: self._results.run(workflow_id, run_id)), ids)]
        add_history(self._known, [source_row(run) for run in runs], self._path_of)
        finished = [run for run in runs if run.state is State.FINISHED]
        self._parts.update({part.key: part for run in finished for part in run.parts})
        return workflow_id in self._known[HISTORIES]

    def _find(self, workflow_id: str, run_id: str | None, *, finished: bool) -> bool:
        """Whether a run was found that was not known before."""
        workflow = self._read(lambda: self._results.stored_workflow(workflow_id))
        latest = None if workflow is None or workflow.deleted or workflow.latest is None else workflow.latest.run_id
        found = run_id or latest
        run = None if found is None else self._read(lambda: self._results.run(workflow_id, found))
        if run is None or (run.state is State.FINISHED) is not finished:
            return False
        before = len(self._known[SELECTS])
        add_source(self._known, source_row(run), latest, self._path_of)
        self._parts.update({part.key: part for part in run.parts})
        return len(self._known[SELECTS]) > before

    def _read(self, load: Callable[[], _DocumentT | None]) -> _DocumentT | None:
        try:
            return load()
        except DocumentDamaged as error:
            self._report(error.message)
            return None
