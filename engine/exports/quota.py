"""The quota: a limit on the bytes of a team's finished exports."""

from collections import Counter

from engine.catalog.catalog import ResultStore
from engine.errors import QuotaExceeded
from engine.exports.export import is_export
from engine.stores.port import ObjectStore


class TeamQuota:
    """The same limit for each team, in bytes. Exports that end at the same moment can exceed it together."""

    def __init__(self, results: ResultStore, exports: ObjectStore, limit_bytes: int) -> None:
        self._results = results
        self._exports = exports
        self._limit = limit_bytes

    def check(self, workflow_id: str, new_bytes: int = 0) -> None:
        """Raise QuotaExceeded unless ``new_bytes`` more fit into the quota of the workflow's owner, or StoreError.

        Lists the exports of all teams, and reads the document of each workflow that has exports.
        """
        team = self._team_of(workflow_id)
        used = 0 if team is None else self._used_by(team)
        if used + new_bytes > self._limit or used == self._limit:
            needed = f", and this one needs {new_bytes:,}" if new_bytes else ""
            raise QuotaExceeded(
                f"The finished exports of team {team} take {used:,} of {self._limit:,} bytes{needed}: "
                "wait until some have expired and been swept, or narrow the export.",
                limit=self._limit,
                used=used,
            )

    def _used_by(self, team: str) -> int:
        # Leases and status documents are small, and do not count.
        sizes: Counter[str] = Counter()
        for info in self._exports.list(""):
            if is_export(info.key):
                sizes[info.key.partition("/")[0]] += info.size
        return sum(size for workflow_id, size in sizes.items() if self._team_of(workflow_id) == team)

    def _team_of(self, workflow_id: str) -> str | None:
        workflow = self._results.workflow(workflow_id)
        return None if workflow is None else workflow.team
