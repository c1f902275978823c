"""The sweep: removes expired exports, old status documents, and what killed processes left behind.

Safe beside running exports, publishers and readers: exports are removed by `engine.exports.leases`, and everything else
only when it is a day old and unreferenced. Interrupted deletions are completed at once.
"""

import shutil
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from engine.catalog.catalog import PART_SUFFIX, ROW_ID_FILTERS_SUFFIX, ResultStore
from engine.common.ids import is_id
from engine.common.temp_folders import abandoned_folders
from engine.errors import SourceDamaged
from engine.exports import tombstones
from engine.exports.deletion import is_export_object
from engine.exports.export import is_export, retained_until
from engine.exports.leases import SUFFIX as LEASE
from engine.exports.leases import Leases
from engine.exports.status import SUFFIX as STATUS
from engine.exports.tombstones import SUFFIX as TOMBSTONE
from engine.exports.unfinished import InterruptedChanges, RunVersions
from engine.stores.clock import require_same_time
from engine.stores.marker import SHORT_LIVED
from engine.stores.port import ObjectInfo, ObjectStore

DOWNLOAD_GRACE = timedelta(hours=1)
"""How long an expired export is retained, so that a download that began before the expiry can finish."""

ABANDONED_AFTER = timedelta(days=1)
"""The age at which an unreferenced object belongs to no live export or publisher."""


@dataclass
class SweepResult:
    """What a sweep removed: the number of objects by kind, and their bytes. ``remaining`` exports are left."""

    removed: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    remaining: int = 0
    damaged: list[str] = field(default_factory=list)
    """The folders of workflows and runs whose document cannot be read; nothing in them is removed."""

    def add(self, kind: str, size: int) -> None:
        """Count one removed object of ``size`` bytes."""
        self.removed[kind] += 1
        self.bytes += size


def sweep_stores(results: ResultStore, exports: ObjectStore, spill: Path, *, dry_run: bool = False) -> SweepResult:
    """Sweep once, by the time of the exports store.

    Raises ClockSkew, before anything is removed, if this machine's clock differs from that of a store by more than a
    minute: one of them is wrong, and with it every expiry and age. Also raises StoreError, as `Sweeper.sweep` does.
    """
    require_same_time(results.store, "results")
    now = datetime.now(UTC) + require_same_time(exports, "exports")
    return Sweeper(results, exports, spill, now=now, dry_run=dry_run).sweep()


class Sweeper:
    """One sweep over an exports store, a results store and the spill directory, at the time ``now``.

    ``dry_run`` only counts.
    """

    def __init__(
        self, results: ResultStore, exports: ObjectStore, spill: Path, *, now: datetime, dry_run: bool = False
    ) -> None:
        self._results = results
        self._exports = exports
        self._leases = Leases(exports)
        self._spill = spill
        self._now = now
        self._abandoned_before = now - ABANDONED_AFTER
        self._dry_run = dry_run
        self._result = SweepResult()
        self._runs = RunVersions(results)
        self._deleted: set[str] = set()

    def sweep(self) -> SweepResult:
        """Sweep once. Raises StoreError; what was removed by then stays removed."""
        interrupted = InterruptedChanges(
            self._results, self._exports, abandoned_before=self._abandoned_before, dry_run=self._dry_run
        )
        self._result.removed.update(interrupted.complete())
        self._result.damaged += interrupted.damaged
        if not self._dry_run:
            self._results.index.rebuild()
        listed = [info for info in self._exports.list("") if is_export_object(info.key)]
        documents = [info for info in listed if not is_export(info.key)]
        self._deleted = {info.key.removesuffix(TOMBSTONE) for info in documents if info.key.endswith(TOMBSTONE)}
        files = {info.key for info in listed if is_export(info.key) and not self._sweep_export(info)}
        self._sweep_documents(documents, files)
        self._sweep_short_lived()
        self._sweep_parts()
        self._sweep_uploads()
        self._sweep_spill()
        self._result.remaining = len(files)
        return self._result

    def _sweep_export(self, listed: ObjectInfo) -> bool:
        info = self._exports.head(listed.key)
        if info is None:
            return True
        # Whoever wrote the tombstone may have been killed before the file was removed.
        if self._runs.was_deleted(info) or info.key.partition(".")[0] in self._deleted:
            self._remove(self._exports, info, "exports")
            return True
        until = retained_until(info)
        before = self._now - DOWNLOAD_GRACE
        if self._dry_run:
            expired = self._leases.has_expired(info.key, info.etag, until, before)
        else:
            marked = self._leases.mark_for_deletion(info.key, info.etag, until, before)
            expired = marked and self._leases.remove_marked(info.key, info.etag)
        if expired:
            self._result.add("exports", info.size)
        return expired

    def _sweep_documents(self, documents: list[ObjectInfo], files: set[str]) -> None:
        """Remove the leases of files that are gone, old tombstones, and status documents not written for a day."""
        for info in documents:
            if info.key.endswith(TOMBSTONE):
                if info.modified < self._now - tombstones.LIFETIME:
                    self._remove(self._exports, info, "tombstones")
                continue
            ticket = info.key.endswith(STATUS)
            if (ticket or info.key.removesuffix(LEASE) not in files) and self._is_abandoned(info):
                self._remove(self._exports, info, "tickets" if ticket else "leases")

    def _sweep_short_lived(self) -> None:
        for store in self._stores():
            for info in store.list(SHORT_LIVED):
                if self._is_abandoned(info):
                    self._remove(store, info, "service documents")

    def _sweep_parts(self) -> None:
        """Remove old parts that no manifest names: their publisher was killed."""
        listed = self._results.store.list("workflow=")
        parts = (info for info in listed if info.key.endswith((PART_SUFFIX, ROW_ID_FILTERS_SUFFIX)))
        for folder, group in groupby(parts, key=lambda info: info.key.rpartition("/")[0]):
            # Listed before the manifest is read: a publisher may write it meanwhile.
            infos = list(group)
            workflow, _, run_id = folder.removeprefix("workflow=").partition("/run=")
            if not (is_id(workflow) and is_id(run_id)):
                # Another program's folder.
                continue
            try:
                run = self._results.run(workflow, run_id)
            except SourceDamaged:
                # The parts that it names are unknown.
                self._result.damaged.append(folder)
                continue
            named = set() if run is None else {one.key for one in run.objects}
            for info in infos:
                if info.key not in named and self._is_abandoned(info):
                    self._remove(self._results.store, info, "parts")

    def _sweep_uploads(self) -> None:
        for store in self._stores():
            number, size = store.remove_leftovers(self._abandoned_before, dry_run=self._dry_run)
            if number:
                self._result.removed["unfinished uploads"] += number
                self._result.bytes += size

    def _stores(self) -> list[ObjectStore]:
        """Each store once: results and exports may be the same."""
        return [*{id(store): store for store in (self._exports, self._results.store)}.values()]

    def _sweep_spill(self) -> None:
        for folder, size in abandoned_folders(self._spill, self._abandoned_before.timestamp()):
            if not self._dry_run:
                shutil.rmtree(folder, ignore_errors=True)
            self._result.add("spill folders", size)

    def _is_abandoned(self, info: ObjectInfo) -> bool:
        return info.modified < self._abandoned_before

    def _remove(self, store: ObjectStore, info: ObjectInfo, kind: str) -> None:
        if self._dry_run or store.delete(info.key, etag=info.etag):
            self._result.add(kind, info.size)
