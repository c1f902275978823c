"""A snapshot of the manifests and finished exports of all teams, for SQL over them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Part, Run, State, Workflow
from engine.common.concurrency import read_all
from engine.errors import DocumentDamaged
from engine.exports.export import is_export, read_metadata
from engine.stores.port import ObjectInfo, ObjectStore

_ItemT = TypeVar("_ItemT")
_ResultT = TypeVar("_ResultT")


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run and its workflow, which is None if it has no readable document."""

    run: Run
    workflow: Workflow | None

    @property
    def finished(self) -> bool:
        """Whether the run can be exported."""
        return self.run.state is State.FINISHED

    @property
    def latest(self) -> bool:
        """Whether it is the run that exports without a ``runId`` use."""
        latest = self.workflow.latest if self.workflow else None
        return self.finished and latest is not None and latest.run_id == self.run.run_id


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Runs in any state, sorted by workflow and run id, and finished exports, sorted by key."""

    runs: tuple[FoundRun, ...]
    exports: tuple[ObjectInfo, ...]
    skipped: tuple[str, ...]
    """A sentence for each damaged document, with its key; what it describes is left out."""

    @property
    def parts(self) -> dict[str, Part]:
        """The parts of finished runs, by key; a session can read no others."""
        return {part.key: part for found in self.runs if found.finished for part in found.run.parts}


def take_snapshot(results: ResultStore, exports: ObjectStore | None) -> Snapshot:
    """Read the manifests and, unless ``exports`` is None, the metadata of each export, which is one request each.

    Skips damaged documents. Raises StoreError.
    """
    folders = [info.key.split("/") for info in results.store.list("workflow=")]
    ids = [_id(folder[0]) for folder in folders if folder[1:] == ["workflow.json"]]
    pairs = [(_id(folder[0]), _id(folder[1])) for folder in folders if folder[2:] == ["run.json"]]
    skipped: list[str] = []

    def skip_damaged(read: Callable[[_ItemT], _ResultT | None]) -> Callable[[_ItemT], _ResultT | None]:
        def reader(item: _ItemT) -> _ResultT | None:
            try:
                return read(item)
            except DocumentDamaged as error:
                skipped.append(error.message)
                return None

        return reader

    def export_at(key: str) -> ObjectInfo | None:
        info = None if exports is None else exports.head(key)
        if info is not None:
            read_metadata(info)
        return info

    workflows = {
        found.workflow_id: found for found in read_all(skip_damaged(results.stored_workflow), ids) if not found.deleted
    }
    runs = tuple(read_all(skip_damaged(lambda pair: results.run(*pair)), pairs))
    export_keys = [] if exports is None else [info.key for info in exports.list("") if is_export(info.key)]
    found_exports = tuple(read_all(skip_damaged(export_at), export_keys))
    return Snapshot(
        runs=tuple(FoundRun(run, workflows.get(run.workflow_id)) for run in runs),
        exports=found_exports,
        skipped=tuple(sorted(skipped)),
    )


def run_row(found: FoundRun) -> dict[str, object]:
    """A row of ``_inside.runs``."""
    run, workflow = found.run, found.workflow
    return {
        "workflow": run.workflow_id,
        "run": run.run_id,
        "name": workflow.name if workflow else None,
        "team": workflow.team if workflow else None,
        "state": run.state,
        "latest": found.latest,
        "rows": run.rows,
        "files": len(run.parts),
        "bytes": sum(part.bytes for part in run.parts),
        "executed_at": _utc(run.executed_at) if run.executed_at else None,
        "published_at": _utc(run.published_at),
    }


def export_row(info: ObjectInfo) -> dict[str, object]:
    """A row of ``_inside.exports``."""
    workflow, _, name = info.key.partition("/")
    metadata = read_metadata(info)
    return {
        "export_id": name.partition(".")[0],
        "workflow": workflow,
        "run": metadata.run,
        "format": metadata.format,
        "rows": int(metadata.rows),
        "bytes": info.size,
        "sha256": metadata.sha256,
        "made_at": _utc(info.modified),
        "kept_until": _utc(metadata.until or info.modified),
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def _id(folder: str) -> str:
    return folder.partition("=")[2]
