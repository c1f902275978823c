"""Sorting beyond memory: it spills, or says clearly that it may not, and leaves nothing behind either way."""

import io
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.common.cancellation import CancelToken
from engine.errors import LimitExceeded
from engine.exports.exporter import Exporter
from engine.publishing import publisher
from engine.settings import DuckDBSettings
from engine.stores import DirectoryStore
from tests.helpers.disks import small_disk
from tests.helpers.engine import Engine
from tests.helpers.folders import files_below

ROWS = 800_000
TIGHT = {1: "180MB", 2: "220MB"}
"""Memory, by threads, in which the sort has to spill, and can."""

by_threads = pytest.mark.parametrize("threads", TIGHT)
"""One thread hands its bytes to a file system of ours, several hand them through a pipe."""


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Rows of 135 MB that do not compress; each key stands in sixteen of them."""
    chance = random.Random(7)
    keys = [chance.randbytes(16).hex() for _ in range(ROWS // 16)]
    pads = [chance.randbytes(64).hex() for _ in range(ROWS)]
    return pa.table({"n": pa.array(range(ROWS)), "key": keys * 16, "pad": pads})


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, table: pa.Table) -> Engine:
    """A run of those rows."""
    engine = Engine(tmp_path_factory.mktemp("sort"))
    with pytest.MonkeyPatch.context() as patch:
        # Small row groups: reading a large one takes most of a tight limit.
        options = (
            "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480, ROW_GROUPS_PER_FILE 50, FILENAME_PATTERN '{i}'"
        )
        patch.setattr(publisher, "_COPY_OPTIONS", options)
        engine.publish(engine.write_parquet(table))
    return engine


def _has_bytes(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_size > 0
    return False


@contextmanager
def seen_in(folder: Path) -> Iterator[set[str]]:
    """Names of files that lay in the folder at some time."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            seen.update(path.name for path in files_below(folder))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def sorted_export(engine: Engine, folder: Path, format_name: str, *, threads: int, **limits: Any) -> bytes:
    settings = DuckDBSettings(threads=threads, spill_directory=folder / "spill", **limits)
    exports = DirectoryStore(folder / "exports")
    exporter = Exporter(engine.results, exports, settings)
    plan = engine.plan(exporter, format_name, sort_by="key")
    try:
        exporter.export(plan, CancelToken())
        (info,) = exports.list("")
        return exports.read(info.key)
    finally:
        assert list((folder / "spill").iterdir()) == []


@pytest.fixture(scope="module")
def in_order(table: pa.Table) -> pa.Table:
    """The rows by their key; those of one key as they were published."""
    keys = table["key"].to_pylist()
    # Python's sort is stable.
    return table.take(sorted(range(ROWS), key=keys.__getitem__))


@pytest.fixture(scope="module")
def expected(engine: Engine, in_order: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The file in each format: CSV from Python, and Parquet from a sort in memory."""
    columns = (in_order[name].to_pylist() for name in in_order.column_names)
    csv = "".join(['n,"key","pad"\n', *(f"{n},{key},{pad}\n" for n, key, pad in zip(*columns, strict=True))])
    folder = tmp_path_factory.mktemp("roomy")
    parquet = sorted_export(engine, folder, "parquet", threads=1, memory_limit="2GB", spill_limit="1GB")
    assert pq.read_table(io.BytesIO(parquet)).equals(in_order)
    return {"csv": csv.encode(), "parquet": parquet}


@pytest.mark.parametrize(("format_name", "threads"), [("csv", 1), ("csv", 2), ("parquet", 2)])
def test_a_sort_that_spills_is_the_sort_in_memory(
    engine: Engine, expected: dict[str, bytes], tmp_path: Path, format_name: str, threads: int
) -> None:
    limits = {"memory_limit": TIGHT[threads], "spill_limit": "1GB"}
    with seen_in(tmp_path / "spill") as files:
        tight = sorted_export(engine, tmp_path, format_name, threads=threads, **limits)
    assert files
    assert tight == expected[format_name]


BEYOND: dict[str, dict[str, str]] = {
    "a sort exceeds its memory": {"memory_limit": "40MB", "spill_limit": "1GB"},
    "a sort exceeds its spill space": {"memory_limit": "180MB", "spill_limit": "1MB"},
}


@by_threads
def test_a_sort_beyond_its_limits_is_refused(engine: Engine, tmp_path: Path, threads: int) -> None:
    for name, limits in BEYOND.items():
        with pytest.raises(LimitExceeded, match="memory or spill space") as refused:
            sorted_export(engine, tmp_path, "csv", threads=threads, **limits)
        assert "sortBy" in refused.value.message, name
        assert list(DirectoryStore(tmp_path / "exports").list("")) == []
    # The same request, with room, works at once.
    roomy = sorted_export(engine, tmp_path, "csv", threads=threads, memory_limit="2GB", spill_limit="1GB")
    assert roomy.count(b"\n") == ROWS + 1


@pytest.mark.parametrize(("others", "threads"), [(False, 1), (True, 2)], ids=["it alone", "others fill it meanwhile"])
def test_a_sort_whose_disk_is_full_is_refused(engine: Engine, tmp_path: Path, others: bool, threads: int) -> None:
    filled = threading.Event()

    def fill(disk: Path) -> None:
        while not any(map(_has_bytes, files_below(disk / "spill"))):
            time.sleep(0.001)
        with suppress(OSError):
            (disk / "filler").write_bytes(bytes(64_000_000))
        filled.set()

    with small_disk(tmp_path, 64) as disk:
        if others:
            threading.Thread(target=fill, args=(disk,)).start()
        with pytest.raises(LimitExceeded):
            sorted_export(engine, disk, "csv", threads=threads, memory_limit=TIGHT[threads], spill_limit="1GB")
        assert not others or filled.wait(20)
        (disk / "filler").unlink(missing_ok=True)
        assert list(DirectoryStore(disk / "exports").list("")) == []
