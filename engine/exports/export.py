"""Finished exports: their keys, ``{workflow}/{exportId}.{ext}``, and the metadata of their objects."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from engine.catalog.manifest import Run
from engine.catalog.schema import Field as Column
from engine.common.ids import ID, is_export_id, is_id
from engine.errors import DocumentDamaged
from engine.exports.leases import MAX_RETENTION
from engine.plan.planner import ExportPlan
from engine.request.formats import FORMATS, Format
from engine.request.summary import summarise
from engine.stores.port import ObjectInfo


@dataclass(frozen=True, slots=True)
class Export:
    """A finished export. ``size`` is in bytes, ``sha256`` in hexadecimal; ``etag`` is the version of the object.

    ``retained_until`` is the date of the object's metadata; a lease may have a later one (`engine.exports.leases`).
    """

    export_id: str
    workflow_id: str
    run_id: str
    format: Format
    rows: int
    size: int
    sha256: str
    executed_at: datetime | None
    retained_until: datetime
    etag: str
    fields: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A finished export as a download needs it, without the run."""

    info: ObjectInfo
    export_id: str
    run_id: str
    format: Format
    sha256: str


class ExportMetadata(BaseModel):
    """The metadata of an export's object. Values are text and names are lower case, since they travel as headers."""

    model_config = ConfigDict(frozen=True)

    formatversion: Literal["1"] = "1"
    rows: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    run: Annotated[str, Field(pattern=rf"^{ID.pattern}$")]
    format: Annotated[str, Field(pattern=rf"^({'|'.join(FORMATS)})$")]
    until: AwareDatetime | None = None
    """Until when the object is retained; one without a date, until it was made."""
    rowids: Literal["true", "false"] = "false"
    request: str | None = None
    """The parameters that were asked for, as `engine.request.summary` writes them."""


def export_key(workflow_id: str, export_id: str, format_: Format) -> str:
    """The key of an export's file. Both ids must be valid."""
    return f"{workflow_id}/{export_id}.{format_.extension}"


def is_export(key: str) -> bool:
    """Whether the key is of an export's file, rather than of its lease, its status document or another object."""
    workflow, _, name = key.partition("/")
    export_id, _, extension = name.partition(".")
    return is_id(workflow) and is_export_id(export_id) and extension in {row.extension for row in FORMATS.values()}


def metadata_of(plan: ExportPlan, *, rows: int, sha256: str, until: datetime) -> dict[str, str]:
    """The metadata to store with an export's object."""
    summary = summarise(plan.request)
    return {
        "formatversion": "1",
        "rows": str(rows),
        "sha256": sha256,
        "run": plan.run.run_id,
        "version": plan.run.version,
        "format": plan.request.format.name,
        "until": until.isoformat(),
        "rowids": str(plan.request.include_row_ids).lower(),
        **({} if summary is None else {"request": summary}),
    }


def read_metadata(info: ObjectInfo) -> ExportMetadata:
    """The metadata of an export's object. Raises DocumentDamaged if it is missing, invalid or of a newer version."""
    try:
        return ExportMetadata.model_validate(info.metadata)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise DocumentDamaged(
            info.key, f"its metadata is not that of an export ({wrong['loc'][0]}: {wrong['msg']})"
        ) from error


def export_of(export_id: str, run: Run, info: ObjectInfo) -> Export:
    """The export of a run, from its object. Raises DocumentDamaged if the metadata cannot be read."""
    metadata = read_metadata(info)
    return Export(
        export_id=export_id,
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        format=FORMATS[metadata.format],
        rows=int(metadata.rows),
        size=info.size,
        sha256=metadata.sha256,
        executed_at=run.executed_at,
        retained_until=metadata.until or info.modified,
        etag=info.etag,
        fields=run.table.written(row_ids=metadata.rowids == "true"),
    )


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
    )
