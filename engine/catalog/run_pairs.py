"""Pairs of consecutive runs: a finished run, and the finished run of the same workflow before it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run, RunChanges, State, Workflow

MAX_RUNS = 100


@dataclass(frozen=True, slots=True)
class RunPair:
    """A run and the one before it. Both have row ids of the same field."""

    run: Run
    since: Run

    @property
    def changes(self) -> RunChanges | None:
        """The numbers of rows that differ; None if another run was the one before when this one was published."""
        changes = self.run.changes
        known = changes is not None and changes.since_version == self.since.version
        return changes if known and changes is not None and changes.since_run_id == self.since.run_id else None


def newest_pairs(results: ResultStore, workflows: Iterable[Workflow]) -> list[RunPair]:
    """The pairs of the `MAX_RUNS` runs of these workflows that were published last, the newest first by `Run.at`.

    Runs that are not finished or whose manifest is damaged, and runs without row ids of the same field, are left out.
    Raises StoreError.
    """
    found = {workflow.workflow_id: results.manifests(workflow.workflow_id) for workflow in workflows}
    infos = ((info.modified, info.key, workflow_id) for workflow_id, listed in found.items() for info in listed)
    newest = sorted(infos, reverse=True)[:MAX_RUNS]
    numbers: dict[str, int] = {}
    for _, _, workflow_id in newest:
        numbers[workflow_id] = numbers.get(workflow_id, 0) + 1
    pairs = (
        pair
        for workflow_id, number in numbers.items()
        # One more, which only has another run after it.
        for pair in _pairs(results.newest_runs(workflow_id, number + 1)[0])
    )
    return sorted(pairs, key=lambda pair: (pair.run.at, pair.run.workflow_id, pair.run.run_id), reverse=True)


def _pairs(runs: Iterable[Run]) -> Iterator[RunPair]:
    finished = sorted((run for run in runs if run.state is State.FINISHED), key=lambda run: (run.at, run.run_id))
    for since, run in pairwise(finished):
        if run.row_id_field is not None and run.row_id_field == since.row_id_field:
            yield RunPair(run, since)
