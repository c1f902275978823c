"""What a sweep removes and what it leaves, on both stores."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engine.common.cancellation import CancelToken
from engine.common.temp_folders import abandoned, spill_folder
from engine.exports.export import Export, export_key
from engine.exports.exporter import Exporter
from engine.exports.leases import SUFFIX, Leases
from engine.exports.status import ExportStatusStore
from engine.exports.sweep import FORGOTTEN, LINGER, Sweeper, Swept
from engine.stores import DirectoryStore, ObjectStore
from tests.helpers.engine import Engine, entry
from web.cli.terminal.command_group import commands

TTL = timedelta(hours=2)


class House:
    """An engine whose exports are kept for `TTL`, and whose clock is moved by hand."""

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self.engine = Engine(folder, store)
        self.store = store
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.exporter = Exporter(self.engine.results, store, self.engine.settings(1), clock=lambda: self.now, keep=TTL)
        self.engine.publish_rows([{"n": n} for n in range(10)])

    def export(self, format_name: str = "csv", **asked: Any) -> Export:
        return self.exporter.export(self.engine.plan(self.exporter, format_name, **asked), CancelToken())

    def key(self, export: Export) -> str:
        return export_key(export.workflow_id, export.export_id, export.format)

    def sweep(self, after: timedelta = timedelta(0), *, dry: bool = False) -> Swept:
        spill = self.engine.folder / "spill"
        return Sweeper(self.engine.results, self.store, spill, now=self.now + after, dry=dry).sweep()


@pytest.fixture
def house(tmp_path: Path, store: ObjectStore) -> House:
    return House(tmp_path / "house", store)


def test_an_export_goes_an_hour_after_its_last_url(house: House) -> None:
    export = house.export()
    assert house.sweep(TTL + LINGER - timedelta(seconds=1)).removed == {}
    assert house.store.head(house.key(export)) is not None
    assert house.sweep(TTL + LINGER, dry=True).removed == {"exports": 1}
    swept = house.sweep(TTL + LINGER)
    assert (swept.removed, swept.bytes, swept.kept) == ({"exports": 1}, export.size, 0)
    assert [info.key for info in house.store.list("w/")] == []
    # The run is untouched, though it lies in the same store.
    assert house.export().rows == 10


def test_another_url_keeps_it_longer(house: House) -> None:
    export = house.export()
    later = house.now + TTL + timedelta(hours=3)
    assert house.exporter.keep(export, house.now + TTL)
    assert house.store.head(house.key(export) + SUFFIX) is None, "what the object says itself needs no lease"
    assert house.exporter.keep(export, later)
    for dry in (True, False):
        assert house.sweep(TTL + LINGER, dry=dry).removed == {}
    for dry in (True, False):
        assert house.sweep(later - house.now + LINGER, dry=dry).removed == {"exports": 1}
    assert [info.key for info in house.store.list("w/")] == []


def test_whoever_comes_between_the_mark_and_the_removal_makes_it_anew(house: House) -> None:
    export = house.export()
    leases, key = Leases(house.store), house.key(export)
    expired = house.now + TTL
    assert leases.retire(key, export.etag, expired, expired)
    # A sweeper died here: the file is there, and nobody may promise it any more.
    assert not house.exporter.keep(export, expired + TTL)
    assert house.store.head(key) is None
    again = house.export()
    assert (again.export_id, again.sha256) == (export.export_id, export.sha256)
    assert house.exporter.keep(again, house.now + TTL)


def test_a_sweeper_that_died_is_finished_by_the_next(house: House) -> None:
    export = house.export()
    expired = house.now + TTL
    assert Leases(house.store).retire(house.key(export), export.etag, expired, expired)
    assert house.sweep().removed == {"exports": 1}
    assert [info.key for info in house.store.list("w/")] == []


class Interrupted:
    """A store in which something happens just before each call of one of its methods."""

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
    """`Interrupted`, as what the port wants."""
    return Interrupted(store, method, happen)


def test_a_sweeper_never_wins_against_a_promise(house: House) -> None:
    """The promise is written between the sweeper's look and its mark."""
    export = house.export()
    key, expired = house.key(export), house.now + TTL
    leases = Leases(house.store)
    assert leases.extend(key, export.etag, expired)

    def promise(*_: object) -> None:
        assert leases.extend(key, export.etag, expired + TTL)

    late = Leases(interrupted(house.store, "replace", promise))
    assert not late.retire(key, export.etag, expired, expired)
    assert house.store.head(key) is not None


def remade(house: House, old: Export) -> Export:
    """What a caller gets who comes when the old file is about to go: the same file, made anew and promised for long."""
    until = house.now + timedelta(days=3)
    assert not house.exporter.keep(old, until)
    made = house.export()
    assert made.etag != old.etag
    assert house.exporter.keep(made, until)
    return made


SLOW = {
    "a sweeper before it removes": "remove",
    "a sweeper before it marks": "retire",
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_sweeper_leaves_what_was_made_anew(house: House, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """While it waits, another sweeper takes the file, or a caller does, and the same export is made and promised."""
    export = house.export()
    made: list[Export] = []
    prompt = getattr(Leases, SLOW[name])

    def slow(leases: Leases, *arguments: Any) -> Any:
        monkeypatch.setattr(Leases, SLOW[name], prompt)
        later = house.now + TTL + LINGER
        if SLOW[name] == "retire":
            assert house.sweep(later - house.now).removed == {"exports": 1}
        house.now = later
        made.append(remade(house, export))
        return prompt(leases, *arguments)

    monkeypatch.setattr(Leases, SLOW[name], slow)
    swept = house.sweep(TTL + LINGER)
    assert (swept.removed, swept.kept) == ({}, 1)
    assert house.engine.content(made[0]) == house.engine.export_bytes("csv")
    assert house.sweep(timedelta(days=3) - timedelta(seconds=1)).removed == {}, "the promise was kept, too"
    assert house.sweep(timedelta(days=3) + LINGER).removed == {"exports": 1}
    assert [info.key for info in house.store.list("w/")] == []


def test_a_slow_caller_leaves_what_another_made_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both saw the old file with its mark; one has made it anew when the other comes to remove it."""
    export = house.export()
    expired = house.now + TTL
    assert Leases(house.store).retire(house.key(export), export.etag, expired, expired)
    remove = Leases.remove

    def slow(leases: Leases, *arguments: Any) -> Any:
        monkeypatch.setattr(Leases, "remove", remove)
        remade(house, export)
        return remove(leases, *arguments)

    monkeypatch.setattr(Leases, "remove", slow)
    assert not house.exporter.keep(export, expired + TTL)
    assert house.store.head(house.key(export)) is not None
    assert house.sweep(timedelta(days=3) - timedelta(seconds=1)).removed == {}


def test_a_caller_who_saw_what_is_gone_gets_no_promise(house: House) -> None:
    export = house.export()
    assert house.sweep(TTL + LINGER).removed == {"exports": 1}
    assert not house.exporter.keep(export, house.now + timedelta(days=3))


def test_the_mark_of_an_older_file_says_nothing_of_a_newer_one(house: House) -> None:
    """A sweeper died between the file and its mark; the export that was made since then needs no lease."""
    old = house.export()
    expired = house.now + TTL
    assert Leases(house.store).retire(house.key(old), old.etag, expired, expired)
    assert house.store.delete(house.key(old))
    house.now = expired + LINGER
    made = house.export()
    assert house.exporter.keep(made, house.now + TTL)
    assert house.sweep(TTL + LINGER - timedelta(seconds=1)).removed == {}
    assert house.exporter.keep(made, house.now + TTL + timedelta(hours=1))
    assert house.sweep(TTL + timedelta(hours=1) + LINGER - timedelta(seconds=1)).removed == {}
    assert house.sweep(TTL + timedelta(hours=1) + LINGER).removed == {"exports": 1}
    assert [info.key for info in house.store.list("w/")] == []


def test_a_mark_that_became_a_promise_stays(house: House) -> None:
    """The sweeper has removed the file and seen its mark; then the file is made anew and promised."""
    old = house.export()
    key, expired = house.key(old), house.now + TTL
    assert Leases(house.store).retire(key, old.etag, expired, expired)

    def promise(removed: str) -> None:
        if removed.endswith(SUFFIX):
            assert house.exporter.keep(house.export(), expired + TTL)

    assert Leases(interrupted(house.store, "delete", promise)).remove(key, old.etag)
    assert house.store.head(key + SUFFIX) is not None


def test_a_document_that_was_written_since_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = house.engine.plan(house.exporter, "csv", filters=[entry("n", "EQUALS", 1)])
    tickets = ExportStatusStore(house.store)
    ticket = tickets.issue(plan, "nonce")
    remove = Sweeper._remove

    def slow(sweeper: Sweeper, *arguments: Any) -> None:
        tickets.change("w", plan.export_id, lambda ticket: ticket.model_copy(update={"rows": 7}))
        remove(sweeper, *arguments)

    monkeypatch.setattr(Sweeper, "_remove", slow)
    assert house.sweep(FORGOTTEN + timedelta(minutes=5)).removed == {}
    assert tickets.find("w", plan.export_id) == ticket.model_copy(update={"rows": 7})


def test_documents_are_forgotten_after_a_day(house: House) -> None:
    plan = house.engine.plan(house.exporter, "csv", filters=[entry("n", "EQUALS", 1)])
    ExportStatusStore(house.store).issue(plan, "nonce")
    assert house.sweep(FORGOTTEN - timedelta(minutes=5)).removed == {}
    assert house.sweep(FORGOTTEN + timedelta(minutes=5)).removed == {"tickets": 1}


def test_parts_that_no_manifest_names_go_after_a_day(house: House) -> None:
    orphan = "workflow=w/run=r/part-00000-deadbeef.parquet"
    stranger = "workflow=w/run=never/part-00000-deadbeef.parquet"
    for key in (orphan, stranger):
        house.store.create(key, b"x" * 7, content_type="application/octet-stream", metadata={})
    assert house.sweep().removed == {}
    swept = house.sweep(FORGOTTEN + timedelta(minutes=5))
    assert (swept.removed, swept.bytes) == ({"parts": 2}, 14)
    assert house.export("parquet", filters=[entry("n", "LESS_THAN", 3)]).rows == 3


def test_a_damaged_run_keeps_its_parts_and_stops_nobody(house: House) -> None:
    house.engine.publish_rows([{"n": 1}], run="a")
    manifest = house.store.head("workflow=w/run=a/run.json")
    assert manifest is not None
    house.store.replace(manifest.key, b"{", etag=manifest.etag)
    orphans = [f"workflow=w/run={run}/part-00000-deadbeef.parquet" for run in ("a", "r")]
    for key in orphans:
        house.store.create(key, b"x" * 7, content_type="application/octet-stream", metadata={})
    dead = house.engine.folder / "spill" / "tailrace-spill-dead"
    dead.mkdir(parents=True)
    os.utime(dead, (1, 1))
    of_the_damaged = house.engine.keys("workflow=w/run=a/")
    swept = house.sweep(FORGOTTEN + timedelta(minutes=5))
    assert (swept.removed, swept.damaged) == ({"parts": 1, "spill folders": 1}, ["workflow=w/run=a"])
    assert house.engine.keys("workflow=w/run=a/") == of_the_damaged
    assert orphans[1] not in house.engine.keys("workflow=")
    assert house.export("parquet", filters=[entry("n", "LESS_THAN", 3)], run="r").rows == 3


def test_the_command_tells_of_a_damaged_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_uploads_that_died_go_after_a_day(house: House) -> None:
    upload = house.store.begin("w/00000000-0000-0000-0000-000000000000.csv", content_type="text/csv")
    upload.stage(0, b"x" * 7)
    left = house.store.remove_leftovers(house.now + FORGOTTEN, dry=True)
    assert left in ((0, 0), (1, 7)), "Azure drops blocks by itself"
    assert house.sweep(FORGOTTEN - timedelta(minutes=5)).removed == {}
    gone = {"unfinished uploads": 1} if left[0] else {}
    assert house.sweep(FORGOTTEN + timedelta(minutes=5), dry=True).removed == gone
    swept = house.sweep(FORGOTTEN + timedelta(minutes=5))
    assert (swept.removed, swept.bytes) == (gone, left[1])
    assert house.sweep(FORGOTTEN + timedelta(minutes=5)).removed == {}


def test_what_is_not_ours_stays(house: House) -> None:
    strangers = ["notes.txt", "w/report.csv", "w/00000000-0000-0000-0000-000000000000.xlsx", "a/b/c.json"]
    for key in strangers:
        house.store.create(key, b"x", content_type="text/plain", metadata={})
    house.sweep(timedelta(days=400))
    assert {info.key for info in house.store.list("")} >= set(strangers)


def test_spill_folders_of_the_dead_go(house: House) -> None:
    parent = house.engine.folder / "spill"
    with spill_folder(parent) as made:
        prefix = made.name[:-8]
    names = [f"{prefix}dead", f"{prefix}alive", f"{prefix}publishing", "someone's", "tmp1234"]
    dead, alive, publishing, *others = folders = [parent / name for name in names]
    old = (datetime.now(UTC) - FORGOTTEN - timedelta(minutes=5)).timestamp()
    for folder in folders:
        (folder / "parts").mkdir(parents=True)
        (folder / "parts" / "block.tmp").write_bytes(b"12345")
        if folder is not alive:
            for path in (folder / "parts" / "block.tmp", folder / "parts", folder):
                os.utime(path, (old, old))
    # What is written for longer than a day changes its files, and not its folders.
    os.utime(publishing / "parts" / "block.tmp")
    swept = house.sweep()
    assert swept.removed == {"spill folders": 1}
    assert swept.bytes >= 5
    assert [folder for folder in folders if folder.exists()] == [alive, publishing, *others]
    assert not dead.exists()


def test_a_look_for_spill_folders_beside_those_that_end(tmp_path: Path) -> None:
    def spill() -> None:
        for _ in range(1000):
            with spill_folder(tmp_path) as folder:
                (folder / "block.tmp").write_bytes(b"12345")

    with ThreadPoolExecutor(1) as pool:
        spilling = pool.submit(spill)
        while not spilling.done():
            assert list(abandoned(tmp_path, 0)) == []
        spilling.result()
