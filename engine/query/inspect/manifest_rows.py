"""Rows of the views over the catalog, from its documents."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from engine.catalog.manifest import Run, StoredColumn, Workflow
from engine.exports.export import read_metadata
from engine.query.inspect.document_index import Entry
from engine.query.inspect.file_bounds import bounds_of_file, sort_keys
from engine.stores.port import ObjectInfo


def workflow_entry(workflow: Workflow) -> Entry:
    """A row of ``_inside.workflows``; none while the workflow is being deleted."""
    row = {
        "workflow": workflow.workflow_id,
        "name": workflow.name,
        "team": workflow.team,
        "latest_run": workflow.latest.run_id if workflow.latest else None,
    }
    return Entry({"workflows": [] if workflow.deleted else [row]})


def run_entry(run: Run) -> Entry:
    """A row of ``_inside.runs``, those of its files and columns, and what a statement over the run's rows needs."""
    return Entry(
        {
            "runs": [_run_row(run)],
            "files": _file_rows(run),
            "columns": _column_rows(run),
            "sources": [source_row(run)],
        }
    )


def export_entry(info: ObjectInfo) -> Entry:
    """A row of ``_inside.exports``. Raises DocumentDamaged."""
    workflow, _, name = info.key.partition("/")
    metadata = read_metadata(info)
    row = {
        "export_id": name.partition(".")[0],
        "workflow": workflow,
        "run": metadata.run,
        "format": metadata.format,
        "rows": int(metadata.rows),
        "bytes": info.size,
        "sha256": metadata.sha256,
        "crc64nvme": metadata.crc64nvme,
        "made_at": _utc(info.modified),
        "kept_until": _utc(metadata.until or info.modified),
    }
    return Entry({"exports": [row]})


def source_row(run: Run) -> dict[str, object]:
    """What a statement over the run's rows needs: the keys of its parts, and its columns."""
    return {
        "workflow": run.workflow_id,
        "run": run.run_id,
        "state": run.state,
        "at": _utc(run.at),
        "executed_at": _utc(run.executed_at) if run.executed_at else None,
        "row_id_field": run.row_id_field,
        "row_hashes": run.row_hashes,
        "parts": [part.key for part in run.parts],
        "columns": [[field.name, field.type.sql()] for field in run.table],
    }


def _run_row(run: Run) -> dict[str, object]:
    return {
        "workflow": run.workflow_id,
        "run": run.run_id,
        "state": run.state,
        "rows": run.rows,
        "files": len(run.parts),
        "bytes": sum(part.bytes for part in run.parts),
        "executed_at": _utc(run.executed_at) if run.executed_at else None,
        "published_at": _utc(run.published_at),
    }


def _column_rows(run: Run) -> Iterator[dict[str, object]]:
    for field in run.table:
        statistics = [group.statistics.get(field.name) for part in run.parts for group in part.row_groups]
        nulls = [None if one is None else one.nulls for one in statistics]
        stored = [part.columns.get(field.name) for part in run.parts]
        yield {
            "workflow": run.workflow_id,
            "run": run.run_id,
            "state": run.state,
            "name": field.name,
            "type": field.type.sql(),
            "data_type": field.data_type,
            # Objects and lists have statistics of their members and elements alone.
            "nulls": None if None in nulls else sum(one for one in nulls if one is not None),
            "bytes": None if None in stored else sum(one.bytes for one in stored if one is not None),
            "distinct_values": _distinct(stored),
        }


def _distinct(stored: Sequence[StoredColumn | None]) -> int | None:
    """The distinct values of a run; unknown of several parts, which may have the same ones."""
    if not stored:
        return 0
    one, *others = stored
    return None if others or one is None else one.distinct


def _file_rows(run: Run) -> Iterator[dict[str, object]]:
    keys = sort_keys(run.table)
    for part in run.parts:
        yield {
            "workflow": run.workflow_id,
            "run": run.run_id,
            "state": run.state,
            "file": part.key.rpartition("/")[2],
            "rows": part.rows,
            "bytes": part.bytes,
            "row_groups": len(part.row_groups),
            "bounds": {path: asdict(bounds) for path, bounds in bounds_of_file(part, keys).items()},
        }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()
