"""Finished exports: what is known of one, and where it lies.

``{workflow}/{exportId}.{ext}``, with what a receiver needs to check it in the object's metadata.
"""

from dataclasses import dataclass
from datetime import datetime

from engine.catalog.manifest import Run
from engine.catalog.schema import Field
from engine.exports.leases import kept_until
from engine.plan.planner import ExportPlan
from engine.request.formats import FORMATS, Format
from engine.stores.port import ObjectInfo


@dataclass(frozen=True, slots=True)
class Export:
    """One finished export. ``sha256`` is of the file's bytes, in hexadecimal; ``etag`` is the object's version."""

    export_id: str
    workflow_id: str
    run_id: str
    format: Format
    rows: int
    size: int
    sha256: str
    executed_at: datetime | None
    kept_until: datetime
    etag: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One finished export as an object to read: what a download needs, and nothing of the run."""

    info: ObjectInfo
    export_id: str
    run_id: str
    format: Format
    sha256: str


def export_key(workflow_id: str, export_id: str, format_: Format) -> str:
    """The key of an export's object; both ids are checked ids."""
    return f"{workflow_id}/{export_id}.{format_.extension}"


def metadata_of(plan: ExportPlan, *, rows: int, sha256: str, until: datetime) -> dict[str, str]:
    """What the object says of itself."""
    return {
        "rows": str(rows),
        "sha256": sha256,
        "run": plan.run.run_id,
        "version": plan.run.version,
        "format": plan.request.format.name,
        "until": until.isoformat(),
        "rowids": str(plan.request.include_row_ids).lower(),
    }


def export_of(export_id: str, run: Run, info: ObjectInfo) -> Export:
    """The export of a run, from its object."""
    return Export(
        export_id=export_id,
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        format=FORMATS[info.metadata["format"]],
        rows=int(info.metadata["rows"]),
        size=info.size,
        sha256=info.metadata["sha256"],
        executed_at=run.executed_at,
        kept_until=kept_until(info.metadata.get("until"), info.modified),
        etag=info.etag,
        fields=run.table.written(row_ids=info.metadata.get("rowids") == "true"),
    )


def file_of(export_id: str, info: ObjectInfo) -> ExportFile:
    """The file that an export's object is."""
    return ExportFile(
        info=info,
        export_id=export_id,
        run_id=info.metadata["run"],
        format=FORMATS[info.metadata["format"]],
        sha256=info.metadata["sha256"],
    )
