"""Models of response bodies (web/API.md, section 2). Both responses and the OpenAPI document are made from them."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from engine.catalog.schema import DATA_TYPES
from engine.common.ids import EXPORT_ID
from engine.common.progress import Phase
from engine.exports.export import CRC64, Export
from engine.exports.status import ExportStatus
from engine.request.formats import FORMATS


def rfc3339(moment: datetime) -> str:
    """Format a time in UTC with a ``Z``, and a fraction only if it has one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


_DATE_TIME = {"type": "string", "format": "date-time"}

Moment = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str), WithJsonSchema(_DATE_TIME)]
FormatName = Annotated[str, Field(description="The file's format", json_schema_extra={"enum": [*FORMATS]})]
# Without the format, client generators use 32-bit integers.
Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Crc64 = Annotated[str, Field(pattern=CRC64)]
ExportId = Annotated[
    str, Field(description="The same for equal requests on the same run", pattern=f"^{EXPORT_ID.pattern}$")
]


class AnswerField(BaseModel):
    """One column of the file."""

    name: str
    type: str = Field(description="The field type", json_schema_extra={"enum": [*DATA_TYPES]})


class ExportAnswer(BaseModel):
    """A finished export, and the URL of its file."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    workflow_id: str
    run_id: str
    format: FormatName
    row_count: Count = Field(description="Rows of the file; may be 0")
    url: str = Field(description="Opens the file without any header", json_schema_extra={"format": "uri"})
    expires_at: Moment = Field(description="When the URL expires, in UTC")
    executed_at: Moment | None = Field(None, description="When the run was executed, if its publisher said so")
    export_id: ExportId
    size_bytes: Count = Field(description="Bytes of the file")
    sha256: Sha256 | SkipJsonSchema[None] = Field(
        None,
        description="SHA-256 of the file's bytes; left out for a large file that a cluster made, which has `crc64nvme`",
    )
    crc64nvme: Crc64 | SkipJsonSchema[None] = Field(
        None,
        alias="crc64nvme",
        description="CRC-64/NVME of the file's bytes, as base64 of its 8 bytes, the highest first; only if a cluster "
        "made the file",
    )
    schema_: list[AnswerField] | SkipJsonSchema[None] = Field(
        None,
        alias="schema",
        description="The columns in their order; left out for the result of a statement that has hundreds of them",
    )
    since_run_id: str | SkipJsonSchema[None] = Field(
        None, description="The earlier run of an export of changes; only if there was a `sinceRunId`"
    )
    unmatched_row_ids: Count | SkipJsonSchema[None] = Field(
        None, description="How many of the `rowIds` have no row in the file; only if there were any"
    )


def encode_export(export: Export, *, url: str, expires_at: datetime) -> bytes:
    """Encode the body of a 200 as JSON."""
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
            "crc64nvme": export.crc64nvme,
            "schema": [{"name": field.name, "type": field.data_type} for field in export.fields] or None,
            "sinceRunId": export.since_run_id,
            "unmatchedRowIds": export.unmatched_row_ids,
        }
    )
    # Clients of the public API do not expect nulls.
    return answer.model_dump_json(by_alias=True, exclude_none=True).encode()


class TicketAnswer(BaseModel):
    """An asynchronous export that is not finished: its progress, or why it failed."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    export_id: ExportId
    workflow_id: str
    run_id: str
    format: FormatName
    phase: Phase
    rows: Count = Field(description="Rows so far")
    bytes: Count = Field(description="Bytes of the file so far")
    queue_place: int | None = Field(description="Approximate position in the queue, from 1, while it waits")
    code: str | None = Field(description="The error code of an export that failed")
    message: str | None = Field(description="Why it failed")


def encode_status(ticket: ExportStatus) -> bytes:
    """Encode the body of a 202, and of the status of an export without a file."""
    answer = TicketAnswer.model_validate(ticket.model_dump(include=set(TicketAnswer.model_fields)))
    return answer.model_dump_json(by_alias=True).encode()
