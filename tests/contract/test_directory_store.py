"""The directory store beyond the port: plain files, several processes, and crashes between any two steps."""

import errno
import json
import os
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.errors import ObjectChanged, ObjectExists, StoreError, StoreUnavailable
from engine.stores import DirectoryStore
from engine.stores.local.tree import STAGING_LIFETIME_SECONDS
from tests.helpers.forks import start

CSV = "text/csv"


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def test_objects_are_plain_files_that_any_program_can_read(directory: DirectoryStore, tmp_path: Path) -> None:
    directory.create("results/a.parquet", b"PAR1", content_type=CSV, metadata={})
    assert directory.local_path("results/a.parquet") == tmp_path / "store/results/a.parquet"
    assert (tmp_path / "store/results/a.parquet").read_bytes() == b"PAR1"


def test_files_of_other_programs_are_objects(directory: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "store/in").mkdir(parents=True)
    (tmp_path / "store/in/a.csv").write_bytes(b"a,b\n")

    info = directory.head("in/a.csv")

    assert info is not None
    assert (info.size, info.content_type, info.metadata) == (4, "application/octet-stream", {})
    assert directory.read("in/a.csv", etag=info.etag) == b"a,b\n"
    assert [listed.key for listed in directory.list("")] == ["in/a.csv"]
    with pytest.raises(ObjectExists):
        directory.create("in/a.csv", b"x", content_type=CSV, metadata={})
    assert directory.replace("in/a.csv", b"c", etag=info.etag).content_type == "application/octet-stream"


def test_a_file_of_the_wrong_size_is_not_an_object(directory: DirectoryStore, tmp_path: Path) -> None:
    info = directory.create("a", b"0123456789", content_type=CSV, metadata={})
    os.truncate(tmp_path / "store/a", 5)

    assert directory.head("a") is None
    with pytest.raises(ObjectChanged):
        directory.read("a", etag=info.etag)
    assert directory.create("a", b"0123456789", content_type=CSV, metadata={}).size == 10


def test_a_stream_survives_replacement_and_removal(directory: DirectoryStore) -> None:
    data = os.urandom(3_000_000)
    info = directory.create("a", data, content_type=CSV, metadata={})
    chunks = directory.stream("a", start=0, length=len(data), etag=info.etag)
    received = next(chunks)
    directory.replace("a", b"other", etag=info.etag)
    directory.delete("a")
    assert received + b"".join(chunks) == data


@pytest.mark.parametrize("clock_ns", [0, 1_000_000_000], ids=["clock at 1970", "clock stands still"])
def test_etags_differ_even_if_the_clock_does_not_move(
    directory: DirectoryStore, monkeypatch: pytest.MonkeyPatch, clock_ns: int
) -> None:
    etags = [directory.create("a", b"x", content_type=CSV, metadata={}).etag]
    monkeypatch.setattr(time, "time_ns", lambda: clock_ns)
    for _ in range(5):
        etags.append(directory.replace("a", b"x", etag=etags[-1]).etag)
    assert len(set(etags)) == 6


def test_etags_survive_a_copy_that_preserves_times(directory: DirectoryStore, tmp_path: Path) -> None:
    info = directory.create("a", b"x", content_type=CSV, metadata={"k": "v"})
    subprocess.run(["cp", "-a", tmp_path / "store", tmp_path / "copy"], check=True)
    assert DirectoryStore(tmp_path / "copy").head("a") == info


def test_a_commit_in_staging_order_copies_nothing(directory: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.stores.local.upload.copy_range", lambda *_: pytest.fail("copied"))
    upload = directory.begin("a", content_type=CSV)
    upload.commit([upload.stage(0, b"a"), upload.stage(5, b"b")], metadata={})
    assert directory.read("a") == b"ab"


def test_blocks_are_copied_in_python_if_the_kernel_refuses(
    directory: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "no")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    upload = directory.begin("a", content_type=CSV)
    ids = [upload.stage(0, b"a" * 3_000_000), upload.stage(1, b"b")]
    upload.commit(ids[::-1], metadata={})
    assert directory.read("a") == b"b" + b"a" * 3_000_000


def test_nothing_stays_in_the_staging_directory(directory: DirectoryStore, tmp_path: Path) -> None:
    first = directory.create("a", b"x", content_type=CSV, metadata={})
    directory.replace("a", b"y", etag=first.etag)
    with pytest.raises(ObjectExists):
        directory.create("a", b"x", content_type=CSV, metadata={})
    committed, aborted = directory.begin("b", content_type=CSV), directory.begin("b", content_type=CSV)
    committed.commit([committed.stage(0, b"x")], metadata={})
    aborted.stage(0, b"x")
    aborted.abort()
    directory.check()
    assert list((tmp_path / "store/.staging").iterdir()) == []


def test_delete_leaves_no_sidecar_and_no_empty_directory(directory: DirectoryStore, tmp_path: Path) -> None:
    directory.create("a/b/c/d", b"x", content_type=CSV, metadata={})
    directory.create("a/e", b"x", content_type=CSV, metadata={})
    directory.delete("a/b/c/d")
    root = tmp_path / "store"
    assert sorted(str(path.relative_to(root)) for path in root.rglob("a*/**/*")) == [".meta/a/e.json", "a/e"]


def test_the_data_of_killed_uploads_is_removed_after_a_week(directory: DirectoryStore, tmp_path: Path) -> None:
    staging = tmp_path / "store/.staging"
    for name, age in (("old", STAGING_LIFETIME_SECONDS + 60), ("young", STAGING_LIFETIME_SECONDS - 60)):
        (staging / name).mkdir(parents=True)
        (staging / name / "data").write_bytes(b"x")
        for path in (staging / name / "data", staging / name):
            os.utime(path, (time.time() - age, time.time() - age))
    directory.create("a", b"x", content_type=CSV, metadata={})
    assert [path.name for path in staging.iterdir()] == ["young"]


def test_the_time_is_that_of_the_file_system_whatever_the_clock_says(
    directory: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = datetime.now(UTC)
    month = 30 * 24 * 3600
    for ahead in (month, -month):
        with monkeypatch.context() as wrong:
            wrong.setattr(time, "time", lambda ahead=ahead: before.timestamp() + ahead)
            wrong.setattr(time, "time_ns", lambda ahead=ahead: int((before.timestamp() + ahead) * 1e9))
            assert before - timedelta(seconds=1) <= directory.check()
        assert directory.check() <= datetime.now(UTC)


def test_a_clock_that_is_a_month_ahead_removes_no_upload(
    directory: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = directory.begin("a", content_type=CSV)
    block = upload.stage(0, b"x")
    month_later = time.time() + 30 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: month_later)
    # Another process begins its first upload.
    DirectoryStore(tmp_path / "store").create("b", b"y", content_type=CSV, metadata={})
    upload.commit([block], metadata={})
    assert directory.read("a") == b"x"


class Crash(BaseException):
    """Simulates the end of the process at this point."""


@pytest.mark.parametrize("step", ["fsync", "mkdir", "link", "replace", "utime"])
@pytest.mark.parametrize("nth", range(12))
def test_a_crash_at_any_step_leaves_the_old_version_or_the_new(
    directory: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, nth: int
) -> None:
    first = directory.create("d/old", b"old", content_type=CSV, metadata={"v": "1"})
    original, calls = getattr(os, step), iter(range(1_000))

    def crash(*arguments: object, **options: object) -> object:
        if next(calls) == nth:
            raise Crash
        return original(*arguments, **options)

    with monkeypatch.context() as patch, suppress(Crash):
        patch.setattr(os, step, crash)
        directory.replace("d/old", b"newer", etag=first.etag)
        directory.create("e/new", b"new", content_type=CSV, metadata={"v": "1"})

    again = DirectoryStore(tmp_path / "store")
    old, new = again.head("d/old"), again.head("e/new")
    assert old is not None
    assert (again.read("d/old"), old.metadata) in [(b"old", {"v": "1"}), (b"newer", {"v": "1"})]
    assert new is None or (again.read("e/new"), new.metadata) == (b"new", {"v": "1"})
    assert again.replace("d/old", b"last", etag=old.etag).size == 4
    if new is None:
        again.create("e/new", b"again", content_type=CSV, metadata={})


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "full"), (errno.EACCES, "refuses"), (errno.EROFS, "read-only"), (errno.EIO, "failed")],
)
def test_system_errors_become_messages_without_paths(
    directory: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number), str(tmp_path))

    upload = directory.begin("a", content_type=CSV)
    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(StoreUnavailable, match=words) as caught:
        upload.stage(0, b"x")
    assert str(tmp_path) not in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    monkeypatch.undo()
    upload.commit([upload.stage(0, b"y")], metadata={})
    assert directory.read("a") == b"y"


def test_a_partially_written_block_is_not_in_the_object(
    directory: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.pwrite

    def fill_the_disk(descriptor: int, data: memoryview, offset: int) -> int:
        if len(data) < 4:
            raise OSError(errno.ENOSPC, "full")
        return original(descriptor, data[:3], offset)

    upload = directory.begin("a", content_type=CSV)
    ids = [upload.stage(0, b"good")]
    monkeypatch.setattr(os, "pwrite", fill_the_disk)
    with pytest.raises(StoreUnavailable):
        upload.stage(1, b"partial")
    monkeypatch.undo()

    assert upload.commit(ids, metadata={}).size == 4
    assert directory.read("a") == b"good"


def test_an_object_cannot_be_a_folder_of_another(directory: DirectoryStore) -> None:
    directory.create("a", b"x", content_type=CSV, metadata={})
    directory.create("b/c", b"x", content_type=CSV, metadata={})
    for key in ("a/b", "a/b/c", "b"):
        assert directory.head(key) is None
        assert directory.delete(key) is False
        with pytest.raises(StoreError, match="folder"):
            directory.create(key, b"x", content_type=CSV, metadata={})


def test_a_damaged_sidecar_loses_only_the_metadata(
    directory: DirectoryStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory.create("a", b"x", content_type=CSV, metadata={"rows": "1"})
    sidecar = tmp_path / "store/.meta/a.json"
    whole = json.loads(sidecar.read_bytes())
    values: tuple[object, ...] = (None, 7.5, ["x"], {"x": []})
    damaged = [{**whole, name: value} for name in whole for value in values]
    texts = [json.dumps(fields).encode() for fields in [{"sizes": 3}, [], *damaged]]
    for content in (b"", b"{", b"[" * 100_000, b"\xff", *texts):
        caplog.clear()
        sidecar.write_bytes(content)
        info = directory.head("a")
        assert info is not None, content
        assert (info.metadata, directory.read("a")) == ({}, b"x"), content
        assert "a.json" in caplog.text, content


INCREMENT = """
import sys
from pathlib import Path
from random import Random
from engine.errors import ObjectChanged
from engine.stores import DirectoryStore
store, left = DirectoryStore(Path(sys.argv[1])), 50
while left:
    info = store.head("counter")
    try:
        store.replace("counter", b"%d" % (int(store.read("counter", etag=info.etag)) + 1), etag=info.etag)
        left -= 1
    except ObjectChanged:
        pass
"""


def test_no_increment_is_lost_between_processes(directory: DirectoryStore, tmp_path: Path) -> None:
    directory.create("counter", b"0", content_type=CSV, metadata={})
    store = str(tmp_path / "store")
    writers = [start([store], os.environ, tmp_path, program=INCREMENT) for _ in range(4)]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    assert directory.read("counter") == b"200"
