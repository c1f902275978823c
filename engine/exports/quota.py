"""A bound on the bytes of a team's finished exports."""

import re

from engine.catalog.catalog import ResultStore
from engine.common.ids import EXPORT_ID, ID
from engine.errors import QuotaExceeded, SourceDamaged
from engine.request.formats import FORMATS
from engine.stores.port import ObjectStore

_EXTENSIONS = "|".join(re.escape(format_.extension) for format_ in FORMATS.values())
_FILE = re.compile(rf"({ID.pattern})/{EXPORT_ID.pattern}\.({_EXTENSIONS})", re.ASCII)
"""Without the documents beside the files: they are small, and go by themselves."""


class TeamQuota:
    """The limit of each team. Exports that end at the same moment can exceed it together, each by itself not."""

    def __init__(self, results: ResultStore, exports: ObjectStore, limit_bytes: int) -> None:
        self._results = results
        self._exports = exports
        self._limit = limit_bytes

    def check(self, workflow_id: str, new_bytes: int = 0) -> None:
        """Raise QuotaExceeded unless the owner of the workflow has room for that many bytes more.

        It lists the exports of all teams, and reads the description of each workflow that has some. Raises StoreError.
        """
        team = self._team_of(workflow_id)
        used = 0 if team is None else self._used_by(team)
        if used + new_bytes > self._limit or used == self._limit:
            needed = f", and this one needs {new_bytes:,}" if new_bytes else ""
            raise QuotaExceeded(
                f"The finished exports of team {team} take {used:,} of {self._limit:,} bytes{needed}: "
                "wait until some have expired and were swept, or narrow the export.",
                limit=self._limit,
                used=used,
            )

    def _used_by(self, team: str) -> int:
        sizes: dict[str, int] = {}
        for info in self._exports.list(""):
            found = _FILE.fullmatch(info.key)
            if found is not None:
                sizes[found[1]] = sizes.get(found[1], 0) + info.size
        return sum(size for workflow_id, size in sizes.items() if self._team_of(workflow_id) == team)

    def _team_of(self, workflow_id: str) -> str | None:
        try:
            workflow = self._results.workflow(workflow_id)
        except SourceDamaged:
            # Nobody can export from it, and it must not keep others from theirs.
            return None
        return None if workflow is None else workflow.team
