"""Pairs of consecutive runs: a finished run, and the finished run of the same workflow before it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from itertools import chain, pairwise

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run, RunChanges, State, Workflow
from engine.common.concurrency import read_all

MAX_RUNS = 100


@dataclass(frozen=True, slots=True)
class RunPair:
    """A run and the one before it, both without their parts. They have row ids of the same field."""

    run: Run
    since: Run

    @property
    def changes(self) -> RunChanges | None:
        """The numbers of rows that differ; None if another run was the one before when this one was published."""
        changes = self.run.changes
        if changes is None or (changes.since_run_id, changes.since_version) != (self.since.run_id, self.since.version):
            return None
        return changes


def newest_pairs(results: ResultStore, workflows: Sequence[Workflow]) -> list[RunPair]:
    """The pairs of the `MAX_RUNS` runs of these workflows that were published last, the newest first by `Run.at`.

    Runs that are not finished or whose manifest is damaged, and runs without row ids of the same field, are left out;
    so is a run if the one before it may be among those of the workflow that are not read. Raises StoreError.
    """

    def manifests(workflow: Workflow) -> list[tuple[datetime, str, str]]:
        return [(info.modified, info.key, workflow.workflow_id) for info in results.manifests(workflow.workflow_id)]

    newest = nlargest(MAX_RUNS, chain.from_iterable(read_all(manifests, workflows)))
    numbers: dict[str, int] = {}
    for _, _, workflow_id in newest:
        numbers[workflow_id] = numbers.get(workflow_id, 0) + 1
    pairs: list[RunPair] = []
    for workflow_id, number in numbers.items():
        # One more, which only has another run after it.
        runs, count = results.newest_runs(workflow_id, number + 1)
        # Without their parts, whose statistics can take megabytes each.
        light = [run.model_copy(update={"parts": ()}) for run in runs]
        pairs += _pairs(light, complete=count <= number + 1)
    return sorted(pairs, key=lambda pair: (pair.run.at, pair.run.workflow_id, pair.run.run_id), reverse=True)


def _pairs(runs: Sequence[Run], *, complete: bool) -> Iterator[RunPair]:
    """The pairs of runs; unless ``complete``, there are others that were published before all of these."""
    others_until = None if complete else min((run.published_at for run in runs), default=None)
    finished = sorted((run for run in runs if run.state is State.FINISHED), key=lambda run: (run.at, run.run_id))
    for since, run in pairwise(finished):
        pair = RunPair(run, since)
        # One of the others may be between the two, unless `since` was the latest when `run` was published.
        consecutive = others_until is None or since.at >= others_until or pair.changes is not None
        if consecutive and run.is_comparable(since):
            yield pair
