"""Adds runs to the catalog: first the manifest, then the workflow, which its first run creates.

A reader sees a run if it has a manifest and a workflow of the same team. So a publisher that fails or is killed between
the two writes leaves nothing that a reader sees. If two teams create the same workflow, the first to write its document
wins.
"""

from datetime import UTC, datetime, timedelta

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run, Workflow, run_key, workflow_key
from engine.catalog.removal import Removal
from engine.errors import AlreadyPublished, Conflict, ObjectExists, StoreUnavailable
from engine.stores.documents import ConcurrentChanges

_MAX_COMMIT_TIME = timedelta(minutes=10)
"""Well above the time between the two writes of a publisher, with the retries of the store."""


class Commits:
    """The catalog's documents as a publisher reads and changes them."""

    def __init__(self, results: ResultStore) -> None:
        self._results = results
        self._removal = Removal(results)

    def check_publisher(self, workflow_id: str, team: str) -> None:
        """Raise Conflict unless the team may publish into the workflow: the team owns it, or it does not exist.

        Raises DocumentDamaged if the workflow's document cannot be read.
        """
        workflow = self._results.stored_workflow(workflow_id)
        if workflow is not None:
            _check_publisher(workflow, team)

    def existing(self, workflow_id: str, run_id: str, team: str) -> Run | None:
        """The team's run of that id, or None. Call `check_publisher` first.

        Removes a run that another team's publisher left when it was killed. Raises Conflict if that publisher may
        still be at work.
        """
        run = self._results.run(workflow_id, run_id)
        if run is None or run.team in (None, team):
            return run
        # Another team's run, in a workflow of this team or without one: its publisher lost the race for the workflow,
        # or was killed before it wrote one. A slow publisher finds its manifest removed and gives up (`advance`).
        may_be_at_work = datetime.now(UTC) - run.published_at < _MAX_COMMIT_TIME
        if self._results.stored_workflow(workflow_id) is None and may_be_at_work:
            raise Conflict(
                f"The run {run_id} is being published by another team: use another run id, or try again in "
                f"{_MAX_COMMIT_TIME.total_seconds() / 60:.0f} minutes."
            )
        self._removal.remove_run(run)
        return None

    def add(self, run: Run) -> None:
        """Write a run's manifest; readers see the run once its workflow names the team (`advance`).

        Raises Conflict if the run id is taken. After any other error the manifest may exist.
        """
        try:
            self._results.run_documents.create(run_key(run.workflow_id, run.run_id), run, {"version": run.version})
        except ObjectExists:
            there = self._results.run(run.workflow_id, run.run_id)
            if there is None or there.team in (None, run.team):
                raise already_published(run.run_id) from None
            raise Conflict(f"The run {run.run_id} is being published by another team: use another run id.") from None

    def advance(self, run: Run, name: str) -> None:
        """Make a run the latest of its workflow unless a later one exists; create the workflow if it does not exist.

        A compare-and-swap, so no update of a concurrent publisher is lost. Raises Conflict if the workflow belongs to
        another team or is being deleted, or if the run has been deleted since; StoreError if the run is published but
        may not be the latest, which publishing it again corrects.
        """
        first = Workflow(workflow_id=run.workflow_id, team=run.team or "", name=name)
        created = False

        def advanced(workflow: Workflow | None) -> Workflow:
            nonlocal created
            created = workflow is None
            if workflow is None:
                self._results.index.add(first)
                return first.advanced(run)
            _check_publisher(workflow, run.team or workflow.team)
            return workflow.advanced(run)

        try:
            self._results.workflow_documents.update(workflow_key(run.workflow_id), advanced)
            if created:
                self._results.index.add(first)
        except ConcurrentChanges as error:
            raise StoreUnavailable(
                f"The run {run.run_id} is published, but concurrent publishers kept it from becoming the latest: "
                "publish it again."
            ) from error
        if not self._results.has(run):
            # It was deleted after its manifest was written: the workflow must not name it.
            self._removal.correct_latest(run.workflow_id)
            self._removal.remove_workflow_without_runs(run.workflow_id)
            raise Conflict(f"The run {run.run_id} was deleted while it was being published.")


def already_published(run_id: str) -> AlreadyPublished:
    """The error for a run id that is taken."""
    return AlreadyPublished(f"The run {run_id} is published already and runs never change: use a new run id.")


def _check_publisher(workflow: Workflow, team: str) -> None:
    if workflow.team != team:
        raise Conflict(
            f"The workflow {workflow.workflow_id} belongs to another team: use another workflow id, or publish for "
            "that team."
        )
    if workflow.deleted:
        raise Conflict(
            f"The workflow {workflow.workflow_id} is being deleted: try again later. If the deletion was interrupted, "
            f"complete it with `tailrace delete {workflow.workflow_id} --yes` or `tailrace sweep`."
        )
