"""Adding runs: the manifest first, then the workflow, which begins with its first run.

A reader sees a run if its manifest is there, and a workflow of the same team. So a publisher that fails, or is killed
between the two, leaves nothing that a reader sees; and of two teams that begin a workflow, the one whose workflow
document is created first wins.
"""

from datetime import UTC, datetime, timedelta

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run, Workflow, run_key, workflow_key
from engine.catalog.removal import Removal
from engine.errors import AlreadyPublished, Conflict, ObjectExists, StoreUnavailable
from engine.stores.documents import ConcurrentChanges

_COMMIT_TIME = timedelta(minutes=10)
"""Well above what a publisher needs from its manifest to its workflow: two writes of the store, with their retries."""


class Commits:
    """What a publisher asks of the documents of a store, and changes in them."""

    def __init__(self, results: ResultStore) -> None:
        self._results = results
        self._removal = Removal(results)

    def check_publisher(self, workflow_id: str, team: str) -> None:
        """Raise Conflict unless that team may publish into the workflow: it is the team's, or there is none.

        Raises DocumentDamaged if the workflow's document cannot be read.
        """
        workflow = self._results.stored_workflow(workflow_id)
        if workflow is not None:
            _check_publisher(workflow, team)

    def existing(self, workflow_id: str, run_id: str, team: str) -> Run | None:
        """The run of that id, of that team, before one is published; `check_publisher` has passed.

        What another team's publisher left behind when it was killed is removed. Raises Conflict if it may still run.
        """
        run = self._results.run(workflow_id, run_id)
        if run is None or run.team in (None, team):
            return run
        # Another team's run in this team's workflow, or in none: its publisher lost the race for the workflow, or
        # died before there was a workflow. One that is only slow finds its manifest gone, and gives up (`advance`).
        slow = datetime.now(UTC) - run.published_at < _COMMIT_TIME
        if self._results.stored_workflow(workflow_id) is None and slow:
            raise Conflict(
                f"The run {run_id} is just being published by another team: take another id, or try again in "
                f"{_COMMIT_TIME.total_seconds() / 60:.0f} minutes."
            )
        self._removal.remove_run(run)
        return None

    def add(self, run: Run) -> None:
        """Write a run's manifest. Raises Conflict if there is a run of that id.

        After any other error it may be there. Readers see it with its workflow (`advance`).
        """
        try:
            self._results.run_documents.create(run_key(run.workflow_id, run.run_id), run, {"version": run.version})
        except ObjectExists:
            there = self._results.run(run.workflow_id, run.run_id)
            if there is None or there.team in (None, run.team):
                raise already_published(run.run_id) from None
            raise Conflict(f"The run {run.run_id} is just being published by another team: take another id.") from None

    def advance(self, run: Run, name: str) -> None:
        """Make a run its workflow's latest, if it is; a workflow begins with its first run.

        A compare-and-swap, so concurrent publishers lose nothing: of two teams that begin a workflow, one wins.
        Raises Conflict if the workflow is another team's, or is being deleted, or if the run was deleted meanwhile;
        StoreError if the run is there, and may not be the latest: publishing it again completes that.
        """
        begun = Workflow(workflow_id=run.workflow_id, team=run.team or "", name=name)

        def advanced(workflow: Workflow | None) -> Workflow:
            if workflow is not None:
                _check_publisher(workflow, run.team or workflow.team)
            return (workflow or begun).advanced(run)

        try:
            self._results.workflow_documents.update(workflow_key(run.workflow_id), advanced)
        except ConcurrentChanges as error:
            raise StoreUnavailable(
                f"The run {run.run_id} is published, but too many publishers were busy to make it the latest: "
                "publish it again."
            ) from error
        if not self._results.has(run):
            # Deleted since its manifest was written: the workflow must not begin with it, nor name it.
            self._removal.repoint(run.workflow_id)
            self._removal.remove_unbegun(run.workflow_id)
            raise Conflict(f"The run {run.run_id} was deleted while it was published.")


def already_published(run_id: str) -> AlreadyPublished:
    """Why a run cannot be published."""
    return AlreadyPublished(f"The run {run_id} is published already; runs never change: take a new id.")


def _check_publisher(workflow: Workflow, team: str) -> None:
    if workflow.team != team:
        raise Conflict(
            f"The workflow {workflow.workflow_id} belongs to another team: publish to another id, or for that team."
        )
    if workflow.deleted:
        raise Conflict(
            f"The workflow {workflow.workflow_id} is being deleted: try again when that is done. If the deletion was "
            f"interrupted, `tailrace delete {workflow.workflow_id} --yes` or `tailrace sweep` completes it."
        )
