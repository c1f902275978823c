"""Status documents of asynchronous exports, stored beside the files so that every process can report on an export.

The key is ``{workflow}/{exportId}.ticket.json``. The process that runs the export writes the document about once a
second; one that has not been written for `STALE_SECONDS` belongs to a process that died. Replicas whose clocks differ
agree on that, since they take the time from the store.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, NonNegativeInt

from engine.common.ids import is_export_id, is_id
from engine.common.progress import Phase
from engine.errors import ObjectMissing
from engine.plan.planner import ExportPlan
from engine.stores.clock import StoreClock
from engine.stores.documents import Document, Documents
from engine.stores.port import ObjectStore

SUFFIX = ".ticket.json"
STALE_SECONDS = 20


class ExportStatus(Document):
    """The state of an asynchronous export. ``queue_place`` counts from 1; ``message`` says why the export failed.

    ``nonce`` identifies the job that writes the document: several jobs may work, or have worked, for one export.
    ``written_at`` is the time of the store.
    """

    format_version: Literal[1] = 1
    export_id: str
    workflow_id: str
    run_id: str
    format: str
    phase: Phase = Phase.QUEUED
    rows: NonNegativeInt = 0
    bytes: NonNegativeInt = 0
    queue_place: int | None = None
    code: str | None = None
    message: str | None = None
    cancel_requested: bool = False
    nonce: str = ""
    written_at: AwareDatetime

    def belongs_at(self, key: str) -> bool:
        """Whether this document is stored under that key."""
        return key == _key(self.workflow_id, self.export_id)

    @property
    def is_terminal(self) -> bool:
        """Whether the export is done, failed or cancelled."""
        return self.phase in (Phase.DONE, Phase.FAILED, Phase.CANCELLED)

    def is_stale(self, now: datetime) -> bool:
        """Whether the process that wrote it died before the export ended. ``now`` is the time of the store."""
        return not self.is_terminal and now - self.written_at > timedelta(seconds=STALE_SECONDS)


class ExportStatusStore:
    """Status documents in the store of the exports; every change is a compare-and-swap.

    A document that is damaged, or of another format version, counts as missing and is replaced by the next write.
    Methods raise StoreError.
    """

    def __init__(self, store: ObjectStore, clock: StoreClock | None = None) -> None:
        self._documents = Documents(store, ExportStatus, substitute=lambda _: None)
        self._clock = clock or StoreClock(store)

    def issue(self, plan: ExportPlan, nonce: str) -> ExportStatus:
        """Hand the document of a plan to the job ``nonce``, which alone may write it from now on.

        A document that is terminal or stale is replaced by a new one. Of a live one, a cancel request is withdrawn,
        since the export has been requested again.
        """
        fresh = ExportStatus(
            export_id=plan.export_id,
            workflow_id=plan.run.workflow_id,
            run_id=plan.run.run_id,
            format=plan.request.format.name,
            nonce=nonce,
            written_at=self._clock.now(),
        )

        def issued(current: ExportStatus | None) -> ExportStatus:
            if current is None or current.is_terminal or current.is_stale(fresh.written_at):
                return fresh
            return current.model_copy(update={"cancel_requested": False, "nonce": nonce})

        return self._documents.update(_key(fresh.workflow_id, fresh.export_id), issued) or fresh

    def find(self, workflow_id: str, export_id: str) -> ExportStatus | None:
        """The status of an export, or None."""
        if not is_id(workflow_id) or not is_export_id(export_id):
            return None
        return self._documents.read(_key(workflow_id, export_id))

    def is_interrupted(self, status: ExportStatus) -> bool:
        """Whether the process that wrote the document died before the export ended."""
        return not status.is_terminal and status.is_stale(self._clock.now())

    def report(self, plan: ExportPlan, nonce: str, state: Mapping[str, object], *, wanted: bool) -> ExportStatus:
        """Write the state of the job ``nonce`` into the document if it owns it; return the stored document.

        A job that is still ``wanted`` also takes the document over from one that has ended or died, unless a cancel was
        requested.
        """
        now = self._clock.now()

        def reported(current: ExportStatus) -> ExportStatus:
            unowned = current.is_terminal or current.is_stale(now)
            if current.nonce != nonce and not (unowned and wanted and not current.cancel_requested):
                return current
            return current.model_copy(update={**state, "nonce": nonce, "written_at": now})

        try:
            return self.change(plan.run.workflow_id, plan.export_id, reported)
        except ObjectMissing:
            # Swept or damaged while the export ran.
            return self.issue(plan, nonce)

    def change(self, workflow_id: str, export_id: str, update: Callable[[ExportStatus], ExportStatus]) -> ExportStatus:
        """Replace the document by what ``update`` returns for it. Raises ObjectMissing."""
        changed = self._documents.update(
            _key(workflow_id, export_id), lambda current: None if current is None else update(current)
        )
        if changed is None:
            raise ObjectMissing("There is no status document of this export.")
        return changed


def _key(workflow_id: str, export_id: str) -> str:
    return f"{workflow_id}/{export_id}{SUFFIX}"
