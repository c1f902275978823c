"""The Parquet file of a whole run, which the store makes of the run's parts: the bytes, the hash, and what can fail."""

import hashlib
import io
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.catalog.manifest import Run, run_key
from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import Cancelled, NotFound, SourceDamaged, StoreError
from engine.execute import row_group_copy
from engine.exports.deletion import Deletion
from engine.parquet.footer_merge import FooterMerger
from engine.runners import local
from engine.stores import ObjectStore, block_stream, composition
from engine.stores.azure.upload import AzureUpload
from engine.stores.block_stream import BlockStream
from engine.stores.local.upload import DirectoryUpload
from tests.helpers.damages import rewrite
from tests.helpers.engine import TEAM, WORKFLOW, Engine, entry
from tests.helpers.small_parts import GROUP_ROWS, GROUPS_OF_PART, publish_small_parts
from tests.helpers.stores import any_store

ROWS = 20_000
TABLE = pa.table(
    {
        "n": pa.array(range(ROWS), pa.int64()),
        "key": [f"k{n}" for n in range(ROWS)],
        "text": [hashlib.sha256(str(n).encode()).hexdigest() for n in range(ROWS)],
        "nested": [{"a": n, "b": ["x"] * (n % 4)} for n in range(ROWS)],
    }
)
GROUPS = -(-ROWS // GROUP_ROWS)
UPLOADS: Any = (AzureUpload, DirectoryUpload)


@pytest.fixture(autouse=True)
def _of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy small files, too, and write them as several blocks, as all files are that are copied."""
    monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((50_000, 100_000),))
    monkeypatch.setattr(composition, "_FEWEST_BYTES", 0)
    monkeypatch.setattr(composition, "_FEWEST_BLOCK_BYTES", 0)


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore) -> Engine:
    return Engine(tmp_path / "engine", store)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what the store copies, as it copies it."""
    lengths: list[int] = []
    for upload in UPLOADS:
        original = upload.stage_copy

        def stage_copy(self: Any, ordinal: int, source: Any, *, _of: Any = original, **range_: Any) -> str:
            lengths.append(range_["length"])
            block: str = _of(self, ordinal, source, **range_)
            return block

        monkeypatch.setattr(upload, "stage_copy", stage_copy)
    return lengths


def publish(engine: Engine, **options: Any) -> Run:
    run = publish_small_parts(engine, engine.write_parquet(TABLE), **options)
    assert len(run.parts) == -(-GROUPS // GROUPS_OF_PART)
    return run


def through_the_service(engine: Engine, run: Run) -> bytes:
    """The file as it is without a hash in the manifest."""
    other = Engine(engine.folder / "other")
    plan = engine.plan(engine.exporter(), "parquet")
    plan = replace(plan, run=run.model_copy(update={"whole_file": None}))
    runner = local.LocalRunner(engine.store, other.store, engine.settings(1))
    with runner.stage(plan, "w/file.parquet", CancelToken(), Progress()) as staged:
        staged.commit({})
    return other.store.read("w/file.parquet")


@pytest.mark.parametrize("row_id", [None, "key"])
def test_the_store_makes_the_file_of_a_whole_run(
    engine: Engine, copies: list[int], monkeypatch: pytest.MonkeyPatch, row_id: str | None
) -> None:
    run = publish(engine, row_id=row_id)
    assert run.row_hashes == (row_id is not None)
    expected = through_the_service(engine, run)
    assert copies == []

    read: list[int] = []
    original = type(engine.store).read

    def counted(self: Any, key: str, **options: Any) -> bytes:
        data = original(self, key, **options)
        read.append(len(data) if key.endswith(".parquet") and "part-" in key else 0)
        return data

    progress = Progress()
    exporter = engine.exporter()
    with monkeypatch.context() as patch:
        patch.setattr(BlockStream, "append", lambda *_: pytest.fail("the bytes pass through the service"))
        patch.setattr(type(engine.store), "read", counted)
        export = exporter.export(engine.plan(exporter, "parquet"), CancelToken(), progress)

    content = engine.content(export)
    assert content == expected
    assert export.sha256 == hashlib.sha256(content).hexdigest()
    assert (export.size, export.rows) == (len(content), ROWS)
    assert (progress.bytes, progress.rows) == (len(content), ROWS)
    # One copy for each row group, since the internal columns lie between them; of the parts, only footers are read.
    assert len(copies) == GROUPS
    assert sum(read) <= len(run.parts) * 64 * 1024
    assert pq.read_table(io.BytesIO(content)).equals(TABLE)


@any_store
def test_row_groups_beyond_the_size_of_a_copy_are_cut(
    engine: Engine, copies: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_group_copy, "MAX_COPY_BYTES", 10_000)
    publish(engine)
    export = engine.export("parquet")
    assert max(copies) == 10_000
    assert export.sha256 == hashlib.sha256(engine.content(export)).hexdigest()


@any_store
@pytest.mark.parametrize(
    ("asked", "copied"),
    [
        ({}, True),
        ({"filters": [entry("n", "GREATER_THAN_OR_EQUAL", 0)]}, True),
        ({"include_row_ids": True}, False),
        ({"filters": [entry("n", "GREATER_THAN_OR_EQUAL", 4 * GROUP_ROWS)]}, False),
        ({"filters": [entry("n", "GREATER_THAN", 100)]}, False),
        ({"sort_by": "text"}, False),
        ({"fields": ("n", "text")}, False),
    ],
    ids=str,
)
def test_only_the_bytes_of_the_known_hash_are_copied(
    engine: Engine, copies: list[int], asked: dict[str, Any], copied: bool
) -> None:
    publish(engine)
    export = engine.export("parquet", **asked)
    assert export.sha256 == hashlib.sha256(engine.content(export)).hexdigest()
    assert bool(copies) == copied


@any_store
def test_a_run_of_an_older_version_has_no_hash(engine: Engine, copies: list[int]) -> None:
    run = publish(engine)
    key = run_key(run.workflow_id, run.run_id)
    older = run.model_copy(update={"whole_file": None}).encode().replace(b',"wholeFile":null', b"")
    assert b"wholeFile" not in older
    rewrite(engine.store, key, older)
    export = engine.export("parquet")
    assert copies == []
    assert export.sha256 == hashlib.sha256(engine.content(export)).hexdigest()


@any_store
def test_the_hash_of_a_file_that_is_merged_otherwise_is_not_used(
    engine: Engine, copies: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(engine)
    original = FooterMerger.footer
    monkeypatch.setattr(FooterMerger, "footer", lambda self: b"between" + original(self))
    export = engine.export("parquet")
    content = engine.content(export)
    assert copies == []
    assert export.sha256 == hashlib.sha256(content).hexdigest()
    assert b"between" in content


@any_store
def test_a_run_without_rows_has_no_file(engine: Engine, copies: list[int]) -> None:
    run = engine.publish(engine.write_parquet(TABLE.slice(0, 0)))
    assert run.whole_file is None
    assert engine.export("parquet").rows == 0
    assert copies == []


@any_store
@pytest.mark.parametrize(("size", "copied"), [(8 * 1024 * 1024, False), (100, True)])
def test_small_files_and_small_ranges_are_read_and_written(
    engine: Engine, copies: list[int], monkeypatch: pytest.MonkeyPatch, size: int, copied: bool
) -> None:
    publish(engine)
    monkeypatch.setattr(composition, "_FEWEST_BYTES", size)
    engine.export("parquet")
    assert bool(copies) == copied


@pytest.mark.parametrize(
    ("size", "pieces", "is_worthwhile"),
    [
        (8 * 2**20 - 1, 1, False),
        (8 * 2**20, 1, True),
        (8 * 2**20, 8, True),
        (8 * 2**20, 9, False),
        (2**40, 49_998, True),
        (2**40, 49_999, False),
    ],
)
def test_what_is_worth_a_copy(size: int, pieces: int, is_worthwhile: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "_FEWEST_BYTES", 8 * 2**20)
        patch.setattr(composition, "_FEWEST_BLOCK_BYTES", 2**20)
        assert composition.is_worthwhile(size, pieces) is is_worthwhile


def _before_the_third_copy(monkeypatch: pytest.MonkeyPatch, action: Any) -> None:
    is_done = threading.Event()
    for upload in UPLOADS:
        original = upload.stage_copy

        def stage_copy(self: Any, ordinal: int, source: Any, *, _of: Any = original, **range_: Any) -> str:
            if ordinal == 3:
                action()
                is_done.set()
            elif ordinal > 3:
                # Copies run side by side.
                assert is_done.wait(60)
            block: str = _of(self, ordinal, source, **range_)
            return block

        monkeypatch.setattr(upload, "stage_copy", stage_copy)


@pytest.mark.parametrize("deleted", [True, False])
def test_a_part_that_changes_in_the_middle_fails_the_export(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    part = publish(engine).parts[-1]

    def change() -> None:
        if deleted:
            engine.store.delete(part.key)
        else:
            engine.store.replace(part.key, engine.store.read(part.key), etag=part.etag)

    _before_the_third_copy(monkeypatch, change)
    with pytest.raises(SourceDamaged):
        engine.export("parquet")
    assert engine.keys("w/") == []


@any_store
def test_a_run_that_is_deleted_in_the_middle_is_not_found(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    run = publish(engine)
    deletion = Deletion(engine.results, engine.store)
    _before_the_third_copy(monkeypatch, lambda: deletion.delete_run(WORKFLOW, run.run_id, TEAM))
    with pytest.raises(NotFound):
        engine.export("parquet")
    assert engine.keys("w/") == []


@pytest.mark.parametrize("after", [0, 3])
def test_what_the_store_cannot_copy_passes_through_the_service(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, after: int
) -> None:
    run = publish(engine)
    expected = through_the_service(engine, run)
    for upload in UPLOADS:
        original = upload.stage_copy

        def stage_copy(self: Any, ordinal: int, source: Any, *, _of: Any = original, **range_: Any) -> str:
            if ordinal > after:
                raise StoreError("It is refused here.")
            block: str = _of(self, ordinal, source, **range_)
            return block

        monkeypatch.setattr(upload, "stage_copy", stage_copy)
    progress, exporter = Progress(), engine.exporter()
    with caplog.at_level(logging.WARNING, "tailrace"):
        export = exporter.export(engine.plan(exporter, "parquet"), CancelToken(), progress)
    content = engine.content(export)
    assert content == expected
    assert export.sha256 == hashlib.sha256(content).hexdigest()
    assert (progress.bytes, progress.rows) == (len(content), ROWS)
    assert [record.getMessage() for record in caplog.records] == [
        "The store cannot copy the parts of a run, so the service does: It is refused here."
    ]
    assert engine.keys("w/") == [f"w/{export.export_id}.parquet"]


def test_a_cancelled_copy_leaves_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(engine)
    cancel = CancelToken()
    _before_the_third_copy(monkeypatch, cancel.cancel)
    exporter = engine.exporter()
    with pytest.raises(Cancelled):
        exporter.export(engine.plan(exporter, "parquet"), cancel)
    assert engine.keys("w/") == []
    root = engine.store.local_path("x")
    assert root is None or list((root.parent / ".staging").iterdir()) == []
    assert engine.export("parquet").rows == ROWS
