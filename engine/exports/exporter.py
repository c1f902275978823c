"""From a request to a finished export: resolve, plan, copy, commit."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from engine.catalog.catalog import PART_CHANGED, ResultStore
from engine.common.cancellation import CancelToken
from engine.common.ids import is_export_id, is_id
from engine.common.progress import Progress
from engine.errors import (
    Cancelled,
    DocumentDamaged,
    NotFound,
    ObjectArchived,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    SourceDamaged,
)
from engine.execute.row_group_copy import with_possible_copies
from engine.exports.deletion import is_exportable
from engine.exports.export import Export, ExportFile, export_key, export_of, file_of, metadata_of
from engine.exports.leases import Leases
from engine.exports.quota import TeamQuota
from engine.exports.tombstones import Tombstones
from engine.plan.bloom_filters import prune_by_bloom
from engine.plan.changes import changes_table
from engine.plan.planner import ExportPlan, make_plan, with_row_groups
from engine.plan.ranges import TARGET_BYTES
from engine.request.formats import FORMATS
from engine.request.request import ExportRequest
from engine.runners import LocalRunner, Runner, Staged
from engine.settings import DuckDBSettings
from engine.stores.documents import LOG, log_damage
from engine.stores.port import ObjectInfo, ObjectStore

_RUN_DELETED = "The run was deleted during the export."
_EXPORT_DELETED = "The export was deleted while it was made; request it again."
_NO_EXPORT = "There is no such export: it expired, was never made, or belongs to another team."


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Exporter:
    """Exports published runs into an object store. May be used from any thread.

    ``retention`` is how long a file is retained without a lease. Ranges have about ``range_bytes`` of Parquet. Without
    a ``runner``, exports run in this process.
    """

    def __init__(
        self,
        results: ResultStore,
        exports: ObjectStore,
        settings: DuckDBSettings,
        *,
        clock: Callable[[], datetime] = _utc_now,
        range_bytes: int = TARGET_BYTES,
        retention: timedelta = timedelta(days=1),
        runner: Runner | None = None,
        quota: TeamQuota | None = None,
    ) -> None:
        self.results = results
        self._exports = exports
        self._runner = runner or LocalRunner(results.store, exports, settings)
        self._clock = clock
        self._range_bytes = range_bytes
        self._retention = retention
        self._leases = Leases(exports)
        self._tombstones = Tombstones(exports)
        self._quota = quota

    def plan(self, request: ExportRequest, team: str) -> ExportPlan:
        """The plan of a request for a team. Raises NotFound, InvalidRequest, DocumentDamaged or StoreError."""
        run = self.results.resolve(request.workflow, request.run, team)
        previous = None
        if request.statement is not None:
            previous = self.results.resolve_previous(run, request.statement.previous, team)
        elif request.since_run is not None:
            with suppress(NotFound):
                previous = self.results.resolve(run.workflow_id, request.since_run, team)
        now = self._clock().replace(microsecond=0)
        plan = make_plan(request, run, now=now, range_bytes=self._range_bytes, previous=previous)
        return replace(plan, export_id=self._tombstones.live_id(run.workflow_id, plan.export_id))

    def prune_by_bloom(self, plan: ExportPlan, cancel: CancelToken) -> ExportPlan:
        """The plan without the row groups whose Bloom filter excludes all requested row ids.

        Raises SourceDamaged, Cancelled or StoreUnavailable.
        """
        if plan.request.row_ids is None or plan.since is not None:
            return plan
        if all(part.row_id_filters is None for part in plan.run.parts):
            return plan
        try:
            mask = prune_by_bloom(plan, self.results.store, cancel)
        except (ObjectMissing, ObjectChanged) as error:
            raise SourceDamaged(PART_CHANGED) from error
        return with_row_groups(plan, mask, range_bytes=self._range_bytes)

    def finished(self, plan: ExportPlan) -> Export | None:
        """The export of a plan if its object exists and can be read, or None.

        An object that is archived, or whose metadata is damaged, is removed, so that the export can be made again.
        Raises StoreUnavailable if it cannot be opened for another reason.
        """
        info = self._exports.head(export_key(plan.run.workflow_id, plan.export_id, plan.request.format))
        if info is None:
            return None
        try:
            export = export_of(plan.export_id, plan.run, plan.table, info)
            self._open(info)
        except (DocumentDamaged, ObjectArchived) as error:
            LOG.warning("Removed an unreadable export, to make it again: %s. %s", info.key, error.message)
            self._exports.delete(info.key, etag=info.etag)
            return None
        except (ObjectMissing, ObjectChanged):
            return None
        return export

    def export(
        self, plan: ExportPlan, cancel: CancelToken, progress: Progress | None = None, *, known_missing: bool = False
    ) -> Export:
        """The finished export of a plan: the existing object, or a new one.

        ``known_missing`` skips the lookup if `finished` has just returned None; the commit finds an object that another
        process has made since. Raises NotFound if the run was deleted, LimitExceeded, QuotaExceeded, SourceDamaged,
        Cancelled, ClusterUnavailable or StoreError; then no part of the file is visible.
        """
        existing = None if known_missing else self.finished(plan)
        if existing is not None:
            return existing
        key = export_key(plan.run.workflow_id, plan.export_id, plan.request.format)
        info = self._write(plan, key, cancel, progress or Progress())
        return export_of(plan.export_id, plan.run, plan.table, info)

    def retain(self, export: Export, until: datetime) -> bool:
        """Retain a finished export at least until then; False if a sweep has removed it, so it must be made again."""
        if until <= export.retained_until:
            return True
        key = export_key(export.workflow_id, export.export_id, export.format)
        return self._leases.extend(key, export.etag, until)

    def delete(self, workflow_id: str, export_id: str) -> None:
        """Delete a finished export. Its URLs never open again: equal requests make another export.

        Raises NotFound or StoreError. After a StoreError the export may be deleted in part; repeat the call.
        """
        file = self.find(workflow_id, export_id)
        self._tombstones.add(workflow_id, export_id)
        self._leases.remove(file.info.key, file.info.etag, self._clock())

    def describe(self, workflow_id: str, export_id: str) -> Export | None:
        """A finished export by its id, or None if there is none, it is archived or its run was deleted."""
        try:
            file = self.find(workflow_id, export_id)
            self._open(file.info)
        except (NotFound, ObjectArchived, ObjectMissing, ObjectChanged):
            return None
        run = self.results.run(workflow_id, file.run_id)
        if run is None or file.since_run_id is None:
            return None if run is None else export_of(export_id, run, run.table, file.info)
        since = self.results.run(workflow_id, file.since_run_id)
        return None if since is None else export_of(export_id, run, changes_table(run, since), file.info)

    def find(self, workflow_id: str, export_id: str, format_name: str | None = None) -> ExportFile:
        """The file of a finished export by its id, in that format or in any.

        Raises NotFound, also if its metadata is damaged.
        """
        if not is_id(workflow_id) or not is_export_id(export_id):
            raise NotFound(_NO_EXPORT)
        for format_ in FORMATS.values() if format_name is None else (FORMATS[format_name],):
            info = self._exports.head(export_key(workflow_id, export_id, format_))
            if info is None:
                continue
            try:
                file = file_of(export_id, info)
            except DocumentDamaged as error:
                log_damage(error)
                continue
            # A process that has been making the export since before its deletion may have just committed it.
            if not self._tombstones.has(workflow_id, export_id):
                return file
        raise NotFound(_NO_EXPORT)

    def check_readable(self, file: ExportFile) -> None:
        """Read the first byte of a file. Raises StoreError as a download would."""
        self._open(file.info)

    def check_owner(self, workflow_id: str, team: str) -> None:
        """Raise NotFound, with the message of `find`, unless the team owns the workflow."""
        workflow = self.results.workflow(workflow_id)
        if workflow is None or workflow.team != team:
            raise NotFound(_NO_EXPORT)

    @property
    def exports(self) -> ObjectStore:
        """The store of finished exports."""
        return self._exports

    def _open(self, info: ObjectInfo) -> None:
        self._exports.read(info.key, length=1, etag=info.etag)

    def _write(self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress) -> ObjectInfo:
        if self._quota is not None:
            self._quota.check(plan.run.workflow_id)
        try:
            self.results.check_parts(*plan.runs)
            plan = with_possible_copies(self.prune_by_bloom(plan, cancel), self.results.store)
            with self._runner.stage(plan, key, cancel, progress) as staged:
                info = self._commit(plan, key, staged, cancel)
        except (ObjectMissing, ObjectChanged, SourceDamaged) as error:
            if not self._can_export(plan):
                raise NotFound(_RUN_DELETED) from error
            raise error if isinstance(error, SourceDamaged) else SourceDamaged(PART_CHANGED) from error
        if not self._can_export(plan):
            # It was deleted after the request was planned, and the deletion may have missed this export.
            self._exports.delete(key)
            raise NotFound(_RUN_DELETED)
        if self._tombstones.has(plan.run.workflow_id, plan.export_id):
            # Another process finished the same export meanwhile, and someone deleted it.
            self._exports.delete(key)
            raise Cancelled(_EXPORT_DELETED)
        return info

    def _can_export(self, plan: ExportPlan) -> bool:
        return all(is_exportable(self.results, run) for run in plan.runs)

    def _commit(self, plan: ExportPlan, key: str, staged: Staged, cancel: CancelToken) -> ObjectInfo:
        if plan.is_full_run and staged.rows != plan.run.rows:
            raise SourceDamaged(f"The run has {staged.rows:,} rows; its manifest says {plan.run.rows:,}.")
        # Files of a directory could have been replaced while they were read; reads from a store name the version.
        self.results.check_parts(*plan.runs)
        if self._quota is not None:
            self._quota.check(plan.run.workflow_id, staged.size)
        cancel.raise_if_cancelled()
        until = self._clock() + self._retention
        metadata = metadata_of(
            plan,
            rows=staged.rows,
            sha256=staged.sha256,
            crc64nvme=staged.crc64nvme,
            until=until,
            fields=staged.fields,
        )
        try:
            info = staged.commit(metadata)
        except ObjectExists:
            # Another process has made the same object, which answers all equal requests.
            existing = self._exports.head(key)
            if existing is None:
                raise
            return existing
        if info.size != staged.size:
            raise SourceDamaged("Size mismatch after upload.")
        return info
