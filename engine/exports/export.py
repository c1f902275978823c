"""Finished exports: their keys, ``{workflow}/{exportId}.{ext}``, and the metadata of their objects."""

import base64
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from engine.catalog.manifest import Run
from engine.catalog.schema import Field as Column
from engine.catalog.schema import Schema
from engine.common.ids import ID, is_export_id, is_id
from engine.errors import DocumentDamaged
from engine.exports.leases import MAX_RETENTION
from engine.plan.columns import columns_of, fields_of, requested_fields
from engine.plan.planner import ExportPlan
from engine.request.formats import (
    COMPRESSIONS,
    FORMATS,
    Compression,
    Format,
    content_type_of,
    extension_of,
)
from engine.request.summary import MAX_BYTES, summarise
from engine.stores.port import ObjectInfo

CRC64 = "^[A-Za-z0-9+/]{11}=$"
"""The pattern of a CRC-64/NVME as text (`engine.stores.crc64.as_text`)."""
_FIELDS = TypeAdapter(tuple[Column, ...])
_MAX_FIELDS_BYTES = 4 * 1024 * 1024
"""Of the columns that are packed in the metadata of an object: some kilobytes can be those of many."""


@dataclass(frozen=True, slots=True)
class Export:
    """A finished export. ``size`` is in bytes, ``sha256`` in hexadecimal; ``etag`` is the version of the object.

    ``crc64nvme`` is set if a cluster made the file, and always if there is no ``sha256``.
    ``retained_until`` is the date of the object's metadata; a lease may have a later one (`engine.exports.leases`).
    """

    export_id: str
    workflow_id: str
    run_id: str
    format: Format
    rows: int
    size: int
    sha256: str | None
    crc64nvme: str | None
    executed_at: datetime | None
    retained_until: datetime
    etag: str
    fields: tuple[Column, ...]
    """Empty for the result of a statement with more columns than the metadata of an object can hold."""
    compression: Compression
    content: str
    """What the name of the file says of its rows: nothing, ``-filtered`` if some of the run were left out, ``-query``
    if they are the result of a statement, ``-changes`` if they are those that changed.
    """
    since_run_id: str | None
    """The earlier run of an export of changes."""
    unmatched_row_ids: int | None
    """How many of the requested row ids have no row in the file; None if none were requested."""

    @property
    def file_name(self) -> str:
        """The name of the file for people and their tools."""
        return f"{self.workflow_id}-{self.run_id}{self.content}.{extension_of(self.format, self.compression)}"


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A finished export as a download needs it, without the run. ``sha256`` and ``crc64nvme`` are as in `Export`."""

    info: ObjectInfo
    export_id: str
    run_id: str
    format: Format
    sha256: str | None
    crc64nvme: str | None
    compression: Compression
    content: str
    """As in `Export`."""
    since_run_id: str | None

    @property
    def file_name(self) -> str:
        """The name of the file for people and their tools."""
        workflow_id = self.info.key.partition("/")[0]
        return f"{workflow_id}-{self.run_id}{self.content}.{self.extension}"

    @property
    def extension(self) -> str:
        """The extension of the name."""
        return extension_of(self.format, self.compression)

    @property
    def content_type(self) -> str:
        """The media type of the file as it is stored."""
        return content_type_of(self.format, self.compression)


class ExportMetadata(BaseModel):
    """The metadata of an export's object. Values are text and names are lower case, since they travel as headers."""

    model_config = ConfigDict(frozen=True)

    formatversion: Literal["1"] = "1"
    rows: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    crc64nvme: Annotated[str, Field(pattern=CRC64)] | None = Field(None, validate_default=True)
    """Of a file that a cluster made. One of the two is there."""
    run: Annotated[str, Field(pattern=rf"^{ID.pattern}$")]
    format: Annotated[str, Field(pattern=rf"^({'|'.join(FORMATS)})$")]
    until: AwareDatetime | None = None
    """Until when the object is retained; one without a date, until it was made."""
    rowids: Literal["true", "false"] = "false"
    request: str | None = None
    """The parameters that were asked for, as `engine.request.summary` writes them."""
    columns: Annotated[str, Field(pattern=r"^[0-9a-f]{1,8}(\.[0-9a-f]{1,8})*$")] | None = None
    """Which of the schema's references were requested, as hexadecimal numbers; by default, all columns."""
    flatten: Literal["true", "false"] = "false"
    deltatypes: Literal["true", "false"] = "false"
    compression: Annotated[str, Field(pattern=rf"^({'|'.join(COMPRESSIONS)})$")] = "none"
    filtered: Literal["true", "false"] = "false"
    statement: Literal["true", "false"] = "false"
    previous: Annotated[str, Field(pattern=rf"^{ID.pattern}$")] | None = None
    """The other run that was read; the object's ``previousversion`` is its version."""
    result: Annotated[str, Field(pattern=r"^[A-Za-z0-9_=-]+$")] | None = None
    """The columns of a statement's result (`_pack_fields`); none if they were too long."""
    unmatched: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None
    """Requested row ids without a row in the file."""

    @field_validator("crc64nvme")
    @classmethod
    def _needs_one(cls, crc64nvme: str | None, others: ValidationInfo) -> str | None:
        if crc64nvme is None and others.data.get("sha256") is None:
            raise ValueError("it has no sha256 either")
        return crc64nvme


def export_key(workflow_id: str, export_id: str, format_: Format) -> str:
    """The key of an export's file, whether or not it is compressed. Both ids must be valid."""
    return f"{workflow_id}/{export_id}.{format_.extension}"


def is_export(key: str) -> bool:
    """Whether the key is of an export's file, rather than of its lease, its status document or another object."""
    workflow, _, name = key.partition("/")
    export_id, _, extension = name.partition(".")
    return is_id(workflow) and is_export_id(export_id) and extension in {row.extension for row in FORMATS.values()}


def metadata_of(
    plan: ExportPlan,
    *,
    rows: int,
    sha256: str | None,
    until: datetime,
    crc64nvme: str | None = None,
    fields: tuple[Column, ...] | None = None,
) -> dict[str, str]:
    """The metadata to store with an export's object; ``fields`` are the columns of a statement's result."""
    summary = summarise(plan.request)
    metadata = {
        "formatversion": "1",
        "rows": str(rows),
        "run": plan.run.run_id,
        "version": plan.run.version,
        "format": plan.request.format.name,
        "until": until.isoformat(),
        "rowids": str(plan.request.include_row_ids).lower(),
        "flatten": str(plan.request.flatten).lower(),
        "deltatypes": str(plan.request.delta_types).lower(),
        "compression": plan.request.compression.name,
        "filtered": str(rows < plan.run.rows and plan.request.statement is None and plan.since is None).lower(),
    }
    hashes = {"sha256": sha256, "crc64nvme": crc64nvme}
    metadata |= {name: value for name, value in hashes.items() if value is not None}
    if plan.request.statement is not None:
        metadata["statement"] = "true"
    if plan.previous is not None:
        metadata |= {"previous": plan.previous.run_id, "previousversion": plan.previous.version}
    if fields is not None and len(packed := _pack_fields(fields)) <= MAX_BYTES:
        metadata["result"] = packed
    if plan.request.row_ids is not None:
        metadata["unmatched"] = str(max(0, len(plan.request.row_ids) - rows))
    if plan.request.fields is not None:
        # As numbers, since names would not fit. Paths can be ambiguous, SQL is not.
        numbers = {reference.sql: number for number, reference in enumerate(plan.table.references)}
        requested = requested_fields(plan.request.fields, plan.table)
        metadata["columns"] = ".".join(f"{numbers[field.sql]:x}" for field in requested)
    columns = metadata.get("columns", "") + metadata.get("result", "")
    if summary is not None and len(summary) + len(columns) <= MAX_BYTES:
        metadata["request"] = summary
    return metadata


def read_metadata(info: ObjectInfo) -> ExportMetadata:
    """The metadata of an export's object. Raises DocumentDamaged if it is missing, invalid or of a newer version."""
    try:
        return ExportMetadata.model_validate(info.metadata)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise DocumentDamaged(
            info.key, f"its metadata is not that of an export ({wrong['loc'][0]}: {wrong['msg']})"
        ) from error


def export_of(export_id: str, run: Run, table: Schema, info: ObjectInfo) -> Export:
    """The export of a run, from its object; ``table`` is that of its plan.

    Raises DocumentDamaged if the metadata cannot be read.
    """
    metadata = read_metadata(info)
    return Export(
        export_id=export_id,
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        format=FORMATS[metadata.format],
        rows=int(metadata.rows),
        size=info.size,
        sha256=metadata.sha256,
        crc64nvme=metadata.crc64nvme,
        executed_at=run.executed_at,
        retained_until=metadata.until or info.modified,
        etag=info.etag,
        fields=_fields(info, metadata, table),
        compression=COMPRESSIONS[metadata.compression],
        content=_content(metadata),
        since_run_id=_since(metadata),
        unmatched_row_ids=None if metadata.unmatched is None else int(metadata.unmatched),
    )


def runs_of(info: ObjectInfo) -> list[tuple[str | None, str | None]]:
    """The ids and versions of the runs that an export was made of, by its metadata; None for what is unknown."""
    found = [(info.metadata.get("run"), info.metadata.get("version"))]
    if "previous" in info.metadata:
        found.append((info.metadata["previous"], info.metadata.get("previousversion")))
    return found


def _content(metadata: ExportMetadata) -> str:
    if metadata.statement == "true":
        return "-query"
    if metadata.previous is not None:
        return "-changes"
    return "-filtered" if metadata.filtered == "true" else ""


def _since(metadata: ExportMetadata) -> str | None:
    return None if metadata.statement == "true" else metadata.previous


def _pack_fields(fields: tuple[Column, ...]) -> str:
    text = _FIELDS.dump_json(fields, by_alias=True)
    return base64.urlsafe_b64encode(zlib.compress(text, 9)).decode()


def _unpack_fields(info: ObjectInfo, packed: str) -> tuple[Column, ...]:
    try:
        text = zlib.decompressobj().decompress(base64.urlsafe_b64decode(packed), _MAX_FIELDS_BYTES)
        return _FIELDS.validate_json(text)
    except (ValueError, zlib.error) as error:
        raise DocumentDamaged(info.key, "its metadata has no valid columns") from error


def _fields(info: ObjectInfo, metadata: ExportMetadata, table: Schema) -> tuple[Column, ...]:
    if metadata.statement == "true":
        return () if metadata.result is None else _unpack_fields(info, metadata.result)
    chosen = None
    if metadata.columns is not None:
        references = table.references
        numbers = [int(number, 16) for number in metadata.columns.split(".")]
        if max(numbers) >= len(references):
            raise DocumentDamaged(info.key, "its metadata names columns that the run does not have")
        chosen = [references[number] for number in numbers]
    row_ids, flatten = metadata.rowids == "true", metadata.flatten == "true"
    delta_types = metadata.deltatypes == "true"
    return fields_of(columns_of(table, chosen, flatten=flatten, row_ids=row_ids, delta_types=delta_types))


def retained_until(info: ObjectInfo) -> datetime:
    """Until when an export's object is retained by its metadata; `MAX_RETENTION` after it was made if it is damaged."""
    try:
        return read_metadata(info).until or info.modified
    except DocumentDamaged:
        return info.modified + MAX_RETENTION


def file_of(export_id: str, info: ObjectInfo) -> ExportFile:
    """The export of an object as a download needs it. Raises DocumentDamaged if the metadata cannot be read."""
    metadata = read_metadata(info)
    return ExportFile(
        info=info,
        export_id=export_id,
        run_id=metadata.run,
        format=FORMATS[metadata.format],
        sha256=metadata.sha256,
        crc64nvme=metadata.crc64nvme,
        compression=COMPRESSIONS[metadata.compression],
        content=_content(metadata),
        since_run_id=_since(metadata),
    )
