"""Removes what nobody needs any more: expired exports, tickets that are over, what died left behind.

Safe beside running exports, publishers and readers: exports go by `engine.exports.leases`, everything else only after
a day in which nobody named it. Deletions that were interrupted are completed at once.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from engine.catalog.catalog import PART, ROW_ID_FILTERS, ResultStore
from engine.common.ids import is_id
from engine.common.temp_folders import abandoned
from engine.errors import SourceDamaged
from engine.exports.deletion import EXPORT_OBJECT
from engine.exports.export import kept_until
from engine.exports.leases import SUFFIX as LEASE
from engine.exports.leases import Leases
from engine.exports.status import SUFFIX as STATUS
from engine.exports.unfinished import RunVersions, Unfinished
from engine.stores.port import ObjectInfo, ObjectStore

LINGER = timedelta(hours=1)
"""How long an expired export stays, since a download that began before it expired may finish."""

FORGOTTEN = timedelta(days=1)
"""How old something is that a live export or publisher would have named by now."""


@dataclass
class Swept:
    """What a sweep removed, by kind, and the bytes of it."""

    removed: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    kept: int = 0
    damaged: list[str] = field(default_factory=list)
    """Folders of runs whose manifest cannot be read; nothing of them is removed."""

    def add(self, kind: str, size: int) -> None:
        """One more thing is gone."""
        self.removed[kind] += 1
        self.bytes += size


class Sweeper:
    """One pass over a store of exports and a store of results. ``dry`` only counts."""

    def __init__(
        self, results: ResultStore, exports: ObjectStore, spill: Path, *, now: datetime, dry: bool = False
    ) -> None:
        self._results = results
        self._exports = exports
        self._leases = Leases(exports)
        self._spill = spill
        self._now = now
        self._dry = dry
        self._swept = Swept()
        self._runs = RunVersions(results)

    def sweep(self) -> Swept:
        """Do it. Raises StoreError; what was removed by then is gone."""
        unfinished = Unfinished(self._results, self._exports, forgotten=self._now - FORGOTTEN, dry=self._dry)
        self._swept.removed.update(unfinished.complete())
        self._swept.damaged += unfinished.damaged
        # Only what bears the name of an export: results may lie in the same container.
        ours = [info for info in self._exports.list("") if EXPORT_OBJECT.fullmatch(info.key)]
        documents = [info for info in ours if info.key.endswith((LEASE, STATUS))]
        files = {info.key for info in ours if info not in documents and not self._sweep_export(info)}
        self._sweep_documents(documents, files)
        self._sweep_parts()
        self._sweep_uploads()
        self._sweep_spill()
        self._swept.kept = len(files)
        return self._swept

    def _sweep_export(self, listed: ObjectInfo) -> bool:
        info = self._exports.head(listed.key)
        if info is None:
            return True
        if self._runs.deleted(info):
            self._remove(self._exports, info, "exports")
            return True
        until = kept_until(info)
        before = self._now - LINGER
        if self._dry:
            expired = self._leases.is_over(info.key, info.etag, until, before)
        else:
            retired = self._leases.retire(info.key, info.etag, until, before)
            expired = retired and self._leases.remove(info.key, info.etag)
        if expired:
            self._swept.add("exports", info.size)
        return expired

    def _sweep_documents(self, documents: list[ObjectInfo], files: set[str]) -> None:
        """Leases of files that are gone, and tickets that nobody wrote for a day."""
        for info in documents:
            ticket = info.key.endswith(STATUS)
            if (ticket or info.key.removesuffix(LEASE) not in files) and self._forgotten(info):
                self._remove(self._exports, info, "tickets" if ticket else "leases")

    def _sweep_parts(self) -> None:
        """Parts that no manifest names: their publisher died, or is still at work."""
        for folder, infos in _by_run(self._results.store.list("workflow=")):
            pieces = folder.split("/")
            workflow, run_id = pieces[0].partition("=")[2], pieces[-1].partition("=")[2]
            if len(pieces) != 2 or not (is_id(workflow) and is_id(run_id)):
                # Another program's: this one makes no such folder.
                continue
            try:
                run = self._results.run(workflow, run_id)
            except SourceDamaged:
                # What it names is not known.
                self._swept.damaged.append(folder)
                continue
            named = set() if run is None else {found.key for found in run.objects}
            for info in infos:
                if info.key not in named and self._forgotten(info):
                    self._remove(self._results.store, info, "parts")

    def _sweep_uploads(self) -> None:
        """What uploads that were killed left; a live one writes to its own."""
        # Runs and exports may lie in one store.
        for store in {id(store): store for store in (self._exports, self._results.store)}.values():
            number, size = store.remove_leftovers(self._now - FORGOTTEN, dry=self._dry)
            if number:
                self._swept.removed["unfinished uploads"] += number
                self._swept.bytes += size

    def _sweep_spill(self) -> None:
        """Folders of processes that were killed; a live one writes to its own."""
        for folder, size in abandoned(self._spill, (self._now - FORGOTTEN).timestamp()):
            if not self._dry:
                shutil.rmtree(folder, ignore_errors=True)
            self._swept.add("spill folders", size)

    def _forgotten(self, info: ObjectInfo) -> bool:
        return self._now - info.modified > FORGOTTEN

    def _remove(self, store: ObjectStore, info: ObjectInfo, kind: str) -> None:
        if self._dry or store.delete(info.key, etag=info.etag):
            self._swept.add(kind, info.size)


def _by_run(infos: Iterator[ObjectInfo]) -> Iterator[tuple[str, list[ObjectInfo]]]:
    """Parts and what belongs to them, by the folder of their run, ``workflow=.../run=...``."""
    folder = ""
    found: list[ObjectInfo] = []
    for info in infos:
        here, _, name = info.key.rpartition("/")
        if not name.endswith((PART, ROW_ID_FILTERS)):
            continue
        if here != folder and found:
            yield folder, found
            found = []
        folder = here
        found.append(info)
    if found:
        yield folder, found
