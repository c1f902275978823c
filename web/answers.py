"""The bodies of successful answers (contract section 2)."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from engine.exports import Export
from engine.progress import Phase
from engine.tickets import Ticket


def rfc3339(moment: datetime) -> str:
    """A moment in UTC with a ``Z``; a fraction only if there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Moment = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str)]


class AnswerField(BaseModel):
    """One column of the file."""

    name: str
    type: str


class ExportAnswer(BaseModel):
    """A finished export: what it is, and where it is to be had until when."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    workflow_id: str
    run_id: str
    format: Literal["csv", "json", "parquet"]
    row_count: int
    url: str
    expires_at: Moment
    executed_at: Moment | None
    export_id: str
    size_bytes: int
    sha256: str
    schema_: list[AnswerField] = Field(alias="schema")


def export_answer(export: Export, *, url: str, expires_at: datetime) -> bytes:
    """The body of a 200 as JSON text."""
    answer = ExportAnswer.model_validate(
        {
            "workflowId": export.workflow_id,
            "runId": export.run_id,
            "format": export.format.name,
            "rowCount": export.rows,
            "url": url,
            "expiresAt": expires_at,
            "executedAt": export.executed_at,
            "exportId": export.export_id,
            "sizeBytes": export.size,
            "sha256": export.sha256,
            "schema": [{"name": field.name, "type": field.data_type} for field in export.fields],
        }
    )
    return answer.model_dump_json(by_alias=True).encode()


class TicketAnswer(BaseModel):
    """An asynchronous export that is not finished: how far it is, or why it ended without a file."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    export_id: str
    workflow_id: str
    run_id: str
    format: Literal["csv", "json", "parquet"]
    phase: Phase
    rows: int
    bytes: int
    queue_place: int | None
    code: str | None
    message: str | None


def ticket_answer(ticket: Ticket) -> bytes:
    """The body of a 202, and of the status of an export that has no file."""
    answer = TicketAnswer.model_validate(ticket.model_dump(include=set(TicketAnswer.model_fields)))
    return answer.model_dump_json(by_alias=True).encode()
