"""Tickets of asynchronous exports: small documents beside the files, so that any process can tell how an export is.

``{workflow}/{exportId}.ticket.json``. Whoever runs the export writes its ticket about once a second; a ticket that was
not written for `STALE_SECONDS` belongs to a process that died.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, NonNegativeInt

from engine.common.ids import is_export_id, is_id
from engine.common.progress import Phase
from engine.errors import ObjectMissing
from engine.plan.planner import ExportPlan
from engine.stores.documents import Document, Documents
from engine.stores.port import ObjectStore

SUFFIX = ".ticket.json"
STALE_SECONDS = 20


class Ticket(Document):
    """What is known of an asynchronous export. ``queue_place`` counts from 1; ``message`` says why it failed.

    ``nonce`` is of the one whose words these are: several may work for the same export, or have worked for it.
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
        """Whether the key is that of this export's ticket."""
        return key == _key(self.workflow_id, self.export_id)

    @property
    def over(self) -> bool:
        """Whether nobody works for the export any more."""
        return self.phase in (Phase.DONE, Phase.FAILED, Phase.CANCELLED)

    def abandoned(self, now: datetime) -> bool:
        """Whether its process died."""
        return not self.over and now - self.written_at > timedelta(seconds=STALE_SECONDS)


class Tickets:
    """Tickets in the store of the exports; every change is a compare-and-swap.

    One that is damaged or of another version counts as none, and is replaced by the next.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._documents = Documents(store, Ticket, substitute=lambda _: None)

    def issue(self, plan: ExportPlan, nonce: str) -> Ticket:
        """A new ticket for a plan, in place of one that is over; from now on only that one writes it."""
        ticket = Ticket(
            export_id=plan.export_id,
            workflow_id=plan.run.workflow_id,
            run_id=plan.run.run_id,
            format=plan.request.format.name,
            nonce=nonce,
            written_at=datetime.now(UTC),
        )

        def issued(there: Ticket | None) -> Ticket:
            if there is None or there.over or there.abandoned(ticket.written_at):
                return ticket
            # Whoever asks again takes back that it was to end.
            return there.model_copy(update={"cancel_requested": False, "nonce": nonce})

        return self._documents.update(_key(ticket.workflow_id, ticket.export_id), issued) or ticket

    def find(self, workflow_id: str, export_id: str) -> Ticket | None:
        """The ticket, or None."""
        if not is_id(workflow_id) or not is_export_id(export_id):
            return None
        return self._documents.read(_key(workflow_id, export_id))

    def report(self, plan: ExportPlan, nonce: str, state: Mapping[str, object], *, wanted: bool) -> Ticket:
        """Write how an export is into the ticket that is there, if it is that one's; what is there then.

        One that is still ``wanted`` takes a ticket over from one that ended or died, unless all are to end.
        """
        now = datetime.now(UTC)

        def told(there: Ticket) -> Ticket:
            left = there.over or there.abandoned(now)
            if there.nonce != nonce and not (left and wanted and not there.cancel_requested):
                return there
            return there.model_copy(update={**state, "nonce": nonce, "written_at": now})

        try:
            return self.change(plan.run.workflow_id, plan.export_id, told)
        except ObjectMissing:
            # Swept away or damaged while the export ran.
            return self.issue(plan, nonce)

    def change(self, workflow_id: str, export_id: str, how: Callable[[Ticket], Ticket]) -> Ticket:
        """Write what ``how`` makes of the ticket that is there. Raises ObjectMissing."""
        changed = self._documents.update(
            _key(workflow_id, export_id), lambda there: None if there is None else how(there)
        )
        if changed is None:
            raise ObjectMissing("The ticket is not there.")
        return changed


def _key(workflow_id: str, export_id: str) -> str:
    return f"{workflow_id}/{export_id}{SUFFIX}"
