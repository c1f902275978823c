"""What a sweep removes and what it retains, on both stores."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engine.common.cancellation import CancelToken
from engine.common.temp_folders import abandoned_folders, spill_folder
from engine.errors import Cancelled
from engine.exports.export import Export, export_key
from engine.exports.exporter import Exporter
from engine.exports.history import ExportHistory
from engine.exports.leases import SUFFIX, Leases
from engine.exports.status import ExportStatusStore
from engine.exports.sweep import ABANDONED_AFTER, DOWNLOAD_GRACE, Sweeper, SweepResult
from engine.exports.tombstones import Tombstones
from engine.stores import DirectoryStore, ObjectStore
from tests.helpers.engine import Engine, entry
from web.cli.terminal.command_group import commands

TTL = timedelta(hours=2)


class Deployment:
    """An engine with a manual clock, whose exports are retained for `TTL`."""

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self.engine = Engine(folder, store)
        self.store = store
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.exporter = Exporter(
            self.engine.results, store, self.engine.settings(1), clock=lambda: self.now, retention=TTL
        )
        self.engine.publish_rows([{"n": n} for n in range(10)])

    def export(self, format_name: str = "csv", **asked: Any) -> Export:
        return self.exporter.export(self.engine.plan(self.exporter, format_name, **asked), CancelToken())

    def key(self, export: Export) -> str:
        return export_key(export.workflow_id, export.export_id, export.format)

    def sweep(self, after: timedelta = timedelta(0), *, dry_run: bool = False) -> SweepResult:
        spill = self.engine.folder / "spill"
        return Sweeper(self.engine.results, self.store, spill, now=self.now + after, dry_run=dry_run).sweep()


@pytest.fixture
def deployment(tmp_path: Path, store: ObjectStore) -> Deployment:
    return Deployment(tmp_path / "engine", store)


def test_an_export_is_removed_an_hour_after_its_last_url_has_expired(deployment: Deployment) -> None:
    export = deployment.export()
    assert deployment.sweep(TTL + DOWNLOAD_GRACE - timedelta(seconds=1)).removed == {}
    assert deployment.store.head(deployment.key(export)) is not None
    assert deployment.sweep(TTL + DOWNLOAD_GRACE, dry_run=True).removed == {"exports": 1}
    swept = deployment.sweep(TTL + DOWNLOAD_GRACE)
    assert (swept.removed, swept.bytes, swept.remaining) == ({"exports": 1}, export.size, 0)
    assert [info.key for info in deployment.store.list("w/")] == []
    # The run is unchanged, although it is in the same store.
    assert deployment.export().rows == 10


def test_a_later_url_extends_the_retention(deployment: Deployment) -> None:
    export = deployment.export()
    later = deployment.now + TTL + timedelta(hours=3)
    assert deployment.exporter.retain(export, deployment.now + TTL)
    assert deployment.store.head(deployment.key(export) + SUFFIX) is None, "the date of the metadata needs no lease"
    assert deployment.exporter.retain(export, later)
    for dry_run in (True, False):
        assert deployment.sweep(TTL + DOWNLOAD_GRACE, dry_run=dry_run).removed == {}
    for dry_run in (True, False):
        assert deployment.sweep(later - deployment.now + DOWNLOAD_GRACE, dry_run=dry_run).removed == {"exports": 1}
    assert [info.key for info in deployment.store.list("w/")] == []


def test_an_export_that_is_marked_for_deletion_is_made_again(deployment: Deployment) -> None:
    export = deployment.export()
    leases, key = Leases(deployment.store), deployment.key(export)
    expired = deployment.now + TTL
    assert leases.mark_for_deletion(key, export.etag, expired, expired)
    # A sweep was killed here: the file exists, and its retention can no longer be extended.
    assert not deployment.exporter.retain(export, expired + TTL)
    assert deployment.store.head(key) is None
    again = deployment.export()
    assert (again.export_id, again.sha256) == (export.export_id, export.sha256)
    assert deployment.exporter.retain(again, deployment.now + TTL)


def test_the_next_sweep_completes_one_that_was_killed(deployment: Deployment) -> None:
    export = deployment.export()
    expired = deployment.now + TTL
    assert Leases(deployment.store).mark_for_deletion(deployment.key(export), export.etag, expired, expired)
    assert deployment.sweep().removed == {"exports": 1}
    assert [info.key for info in deployment.store.list("w/")] == []


def test_a_stored_lease_has_the_member_names_of_older_versions(deployment: Deployment) -> None:
    export = deployment.export()
    expired = deployment.now + TTL
    assert Leases(deployment.store).mark_for_deletion(deployment.key(export), export.etag, expired, expired)
    stored = json.loads(deployment.store.read(deployment.key(export) + SUFFIX))
    assert (stored.keys(), stored["retired"]) == ({"formatVersion", "until", "retired"}, export.etag)


class Interrupted:
    """A store that calls a function before each call of one of its methods."""

    def __init__(self, store: ObjectStore, method: str, happen: Callable[..., None]) -> None:
        self._store, self._method, self._happen = store, method, happen

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name != self._method:
            return call

        def interrupted(*arguments: Any, **options: Any) -> Any:
            self._happen(*arguments)
            return call(*arguments, **options)

        return interrupted


def interrupted(store: ObjectStore, method: str, happen: Callable[..., None]) -> Any:
    """An `Interrupted` store with the type of the port."""
    return Interrupted(store, method, happen)


def test_a_sweep_never_removes_an_export_whose_lease_was_extended(deployment: Deployment) -> None:
    """The lease is extended between the sweep's read and its mark."""
    export = deployment.export()
    key, expired = deployment.key(export), deployment.now + TTL
    leases = Leases(deployment.store)
    assert leases.extend(key, export.etag, expired)

    def extend(*_: object) -> None:
        assert leases.extend(key, export.etag, expired + TTL)

    late = Leases(interrupted(deployment.store, "replace", extend))
    assert not late.mark_for_deletion(key, export.etag, expired, expired)
    assert deployment.store.head(key) is not None


def remade(deployment: Deployment, old: Export) -> Export:
    """What a caller does whose file is marked for deletion: make it again, and extend its retention."""
    until = deployment.now + timedelta(days=3)
    assert not deployment.exporter.retain(old, until)
    made = deployment.export()
    assert made.etag != old.etag
    assert deployment.exporter.retain(made, until)
    return made


SLOW = {
    "a sweep before it removes": "remove_marked",
    "a sweep before it marks": "mark_for_deletion",
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_sweep_never_removes_an_export_that_was_made_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Meanwhile another sweep or a caller removes the file, and the export is made again and its retention extended."""
    export = deployment.export()
    made: list[Export] = []
    prompt = getattr(Leases, SLOW[name])

    def slow(leases: Leases, *arguments: Any) -> Any:
        monkeypatch.setattr(Leases, SLOW[name], prompt)
        later = deployment.now + TTL + DOWNLOAD_GRACE
        if SLOW[name] == "mark_for_deletion":
            assert deployment.sweep(later - deployment.now).removed == {"exports": 1}
        deployment.now = later
        made.append(remade(deployment, export))
        return prompt(leases, *arguments)

    monkeypatch.setattr(Leases, SLOW[name], slow)
    swept = deployment.sweep(TTL + DOWNLOAD_GRACE)
    assert (swept.removed, swept.remaining) == ({}, 1)
    assert deployment.engine.content(made[0]) == deployment.engine.export_bytes("csv")
    assert deployment.sweep(timedelta(days=3) - timedelta(seconds=1)).removed == {}, "it is retained as extended"
    assert deployment.sweep(timedelta(days=3) + DOWNLOAD_GRACE).removed == {"exports": 1}
    assert [info.key for info in deployment.store.list("w/")] == []


def test_a_slow_caller_never_removes_an_export_that_was_made_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both callers have read the deletion mark; one makes the file again before the other removes it."""
    export = deployment.export()
    expired = deployment.now + TTL
    assert Leases(deployment.store).mark_for_deletion(deployment.key(export), export.etag, expired, expired)
    remove = Leases.remove_marked

    def slow(leases: Leases, *arguments: Any) -> Any:
        monkeypatch.setattr(Leases, "remove_marked", remove)
        remade(deployment, export)
        return remove(leases, *arguments)

    monkeypatch.setattr(Leases, "remove_marked", slow)
    assert not deployment.exporter.retain(export, expired + TTL)
    assert deployment.store.head(deployment.key(export)) is not None
    assert deployment.sweep(timedelta(days=3) - timedelta(seconds=1)).removed == {}


def test_the_lease_of_a_removed_export_cannot_be_extended(deployment: Deployment) -> None:
    export = deployment.export()
    assert deployment.sweep(TTL + DOWNLOAD_GRACE).removed == {"exports": 1}
    assert not deployment.exporter.retain(export, deployment.now + timedelta(days=3))


def test_the_deletion_mark_of_an_older_version_does_not_apply_to_a_newer_one(deployment: Deployment) -> None:
    """A sweep was killed after removing the file and before its lease; the new export needs no lease."""
    old = deployment.export()
    expired = deployment.now + TTL
    assert Leases(deployment.store).mark_for_deletion(deployment.key(old), old.etag, expired, expired)
    assert deployment.store.delete(deployment.key(old))
    deployment.now = expired + DOWNLOAD_GRACE
    made = deployment.export()
    assert deployment.exporter.retain(made, deployment.now + TTL)
    assert deployment.sweep(TTL + DOWNLOAD_GRACE - timedelta(seconds=1)).removed == {}
    assert deployment.exporter.retain(made, deployment.now + TTL + timedelta(hours=1))
    assert deployment.sweep(TTL + timedelta(hours=1) + DOWNLOAD_GRACE - timedelta(seconds=1)).removed == {}
    assert deployment.sweep(TTL + timedelta(hours=1) + DOWNLOAD_GRACE).removed == {"exports": 1}
    assert [info.key for info in deployment.store.list("w/")] == []


def test_a_lease_that_replaced_a_deletion_mark_is_retained(deployment: Deployment) -> None:
    """After the sweep has removed the file and read its mark, the file is made again and its retention extended."""
    old = deployment.export()
    key, expired = deployment.key(old), deployment.now + TTL
    assert Leases(deployment.store).mark_for_deletion(key, old.etag, expired, expired)

    def extend(removed: str) -> None:
        if removed.endswith(SUFFIX):
            assert deployment.exporter.retain(deployment.export(), expired + TTL)

    assert Leases(interrupted(deployment.store, "delete", extend)).remove_marked(key, old.etag)
    assert deployment.store.head(key + SUFFIX) is not None


def test_a_sweep_does_not_remove_a_document_that_was_written_meanwhile(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = deployment.engine.plan(deployment.exporter, "csv", filters=[entry("n", "EQUALS", 1)])
    tickets = ExportStatusStore(deployment.store)
    ticket = tickets.issue(plan, "nonce")
    remove = Sweeper._remove

    def slow(sweeper: Sweeper, *arguments: Any) -> None:
        tickets.change("w", plan.export_id, lambda ticket: ticket.model_copy(update={"rows": 7}))
        remove(sweeper, *arguments)

    monkeypatch.setattr(Sweeper, "_remove", slow)
    assert deployment.sweep(ABANDONED_AFTER + timedelta(minutes=5)).removed == {}
    assert tickets.find("w", plan.export_id) == ticket.model_copy(update={"rows": 7})


def test_status_documents_are_removed_after_a_day(deployment: Deployment) -> None:
    plan = deployment.engine.plan(deployment.exporter, "csv", filters=[entry("n", "EQUALS", 1)])
    ExportStatusStore(deployment.store).issue(plan, "nonce")
    assert deployment.sweep(ABANDONED_AFTER - timedelta(minutes=5)).removed == {}
    assert deployment.sweep(ABANDONED_AFTER + timedelta(minutes=5)).removed == {"tickets": 1}


def test_parts_without_a_manifest_are_removed_after_a_day(deployment: Deployment) -> None:
    orphan = "workflow=w/run=r/part-00000-deadbeef.parquet"
    unknown = "workflow=w/run=never/part-00000-deadbeef.parquet"
    for key in (orphan, unknown):
        deployment.store.create(key, b"x" * 7, content_type="application/octet-stream", metadata={})
    assert deployment.sweep().removed == {}
    swept = deployment.sweep(ABANDONED_AFTER + timedelta(minutes=5))
    assert (swept.removed, swept.bytes) == ({"parts": 2}, 14)
    assert deployment.export("parquet", filters=[entry("n", "LESS_THAN", 3)]).rows == 3


def test_a_sweep_retains_the_parts_of_a_damaged_run_and_continues(deployment: Deployment) -> None:
    deployment.engine.publish_rows([{"n": 1}], run="a")
    manifest = deployment.store.head("workflow=w/run=a/run.json")
    assert manifest is not None
    deployment.store.replace(manifest.key, b"{", etag=manifest.etag)
    orphans = [f"workflow=w/run={run}/part-00000-deadbeef.parquet" for run in ("a", "r")]
    for key in orphans:
        deployment.store.create(key, b"x" * 7, content_type="application/octet-stream", metadata={})
    dead = deployment.engine.folder / "spill" / "tailrace-spill-dead"
    dead.mkdir(parents=True)
    os.utime(dead, (1, 1))
    of_the_damaged = deployment.engine.keys("workflow=w/run=a/")
    swept = deployment.sweep(ABANDONED_AFTER + timedelta(minutes=5))
    assert (swept.removed, swept.damaged) == ({"parts": 1, "spill folders": 1}, ["workflow=w/run=a"])
    assert deployment.engine.keys("workflow=w/run=a/") == of_the_damaged
    assert orphans[1] not in deployment.engine.keys("workflow=")
    assert deployment.export("parquet", filters=[entry("n", "LESS_THAN", 3)], run="r").rows == 3


def test_the_sweep_command_reports_a_damaged_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tmp_path, DirectoryStore(tmp_path / "store"))
    engine.publish_rows([{"n": 1}])
    for name, folder in (("RESULTS", "store"), ("EXPORTS", "exports"), ("SPILL_DIRECTORY", "spill")):
        monkeypatch.setenv(f"TAILRACE_{name}", str(tmp_path / folder))
    assert CliRunner().invoke(commands, ["init"]).exit_code == 0
    assert CliRunner().invoke(commands, ["sweep"]).exit_code == 0
    (tmp_path / "store" / "workflow=w" / "run=r" / "run.json").write_bytes(b"{")
    done = CliRunner().invoke(commands, ["sweep"])
    assert done.exit_code == 1
    assert "0 bytes in total" in done.output
    assert "The manifest of workflow=w/run=r cannot be read" in done.output


def test_abandoned_uploads_are_removed_after_a_day(deployment: Deployment) -> None:
    upload = deployment.store.begin("w/00000000-0000-0000-0000-000000000000.csv", content_type="text/csv")
    upload.stage(0, b"x" * 7)
    left = deployment.store.remove_leftovers(deployment.now + ABANDONED_AFTER, dry_run=True)
    assert left in ((0, 0), (1, 7)), "Azure removes blocks by itself"
    assert deployment.sweep(ABANDONED_AFTER - timedelta(minutes=5)).removed == {}
    gone = {"unfinished uploads": 1} if left[0] else {}
    assert deployment.sweep(ABANDONED_AFTER + timedelta(minutes=5), dry_run=True).removed == gone
    swept = deployment.sweep(ABANDONED_AFTER + timedelta(minutes=5))
    assert (swept.removed, swept.bytes) == (gone, left[1])
    assert deployment.sweep(ABANDONED_AFTER + timedelta(minutes=5)).removed == {}


def test_objects_of_other_programs_are_retained(deployment: Deployment) -> None:
    others = ["notes.txt", "w/report.csv", "w/00000000-0000-0000-0000-000000000000.ods", "a/b/c.json"]
    for key in others:
        deployment.store.create(key, b"x", content_type="text/plain", metadata={})
    deployment.sweep(timedelta(days=400))
    assert {info.key for info in deployment.store.list("")} >= set(others)


def test_abandoned_spill_folders_are_removed(deployment: Deployment) -> None:
    parent = deployment.engine.folder / "spill"
    with spill_folder(parent) as made:
        prefix = made.name[:-8]
    names = [f"{prefix}dead", f"{prefix}alive", f"{prefix}publishing", "other", "tmp1234"]
    dead, alive, publishing, *others = folders = [parent / name for name in names]
    old = (datetime.now(UTC) - ABANDONED_AFTER - timedelta(minutes=5)).timestamp()
    for folder in folders:
        (folder / "parts").mkdir(parents=True)
        (folder / "parts" / "block.tmp").write_bytes(b"12345")
        if folder is not alive:
            for path in (folder / "parts" / "block.tmp", folder / "parts", folder):
                os.utime(path, (old, old))
    # A long write changes the times of its files, but not of its folders.
    os.utime(publishing / "parts" / "block.tmp")
    swept = deployment.sweep()
    assert swept.removed == {"spill folders": 1}
    assert swept.bytes >= 5
    assert [folder for folder in folders if folder.exists()] == [alive, publishing, *others]
    assert not dead.exists()


def test_spill_folders_can_be_removed_while_a_sweep_lists_them(tmp_path: Path) -> None:
    def spill() -> None:
        for _ in range(1000):
            with spill_folder(tmp_path) as folder:
                (folder / "block.tmp").write_bytes(b"12345")

    with ThreadPoolExecutor(1) as pool:
        spilling = pool.submit(spill)
        while not spilling.done():
            assert list(abandoned_folders(tmp_path, 0)) == []
        spilling.result()


def test_a_deleted_export_is_made_again_under_another_id_until_its_urls_have_expired(deployment: Deployment) -> None:
    export = deployment.export()
    deployment.exporter.delete(export.workflow_id, export.export_id)
    assert deployment.exporter.describe(export.workflow_id, export.export_id) is None
    assert deployment.export().export_id != export.export_id
    for days, same in ((7, False), (9, True)):
        deployment.now += timedelta(days=days)
        deployment.sweep()
        assert (deployment.export().export_id == export.export_id) is same


def test_a_process_that_was_making_a_deleted_export_cannot_bring_it_back(deployment: Deployment) -> None:
    plan = deployment.engine.plan(deployment.exporter, "csv")
    export = deployment.exporter.export(plan, CancelToken())
    deployment.exporter.delete(export.workflow_id, export.export_id)
    with pytest.raises(Cancelled, match="request it again"):
        deployment.exporter.export(plan, CancelToken(), known_missing=True)
    assert deployment.store.head(deployment.key(export)) is None


def test_a_sweep_completes_a_deletion_that_was_killed_after_its_tombstone(deployment: Deployment) -> None:
    export = deployment.export()
    key = deployment.key(export)
    Tombstones(deployment.store).add(export.workflow_id, export.export_id)
    assert deployment.exporter.describe(export.workflow_id, export.export_id) is None
    assert ExportHistory(deployment.store).page(export.workflow_id, 0, 10) == ([], 0)
    assert deployment.store.head(key) is not None
    assert deployment.sweep().removed["exports"] == 1
    assert deployment.store.head(key) is None
