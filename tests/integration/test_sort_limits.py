"""Sorting beyond memory: it spills, or says clearly that it may not, and leaves nothing behind either way."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine import publisher
from engine.cancel import CancelToken
from engine.errors import LimitExceeded
from engine.exporter import Exporter
from engine.settings import DuckDBSettings
from engine.stores import DirectoryStore
from tests.helpers.engine import Engine

ROWS = 800_000


def _key(n: int) -> str:
    return hashlib.md5(str(n % 50_000).encode(), usedforsecurity=False).hexdigest()


def _pad(n: int) -> str:
    """What does not compress away."""
    return hashlib.sha512(str(n).encode()).hexdigest()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A run of 135 MB; each key stands in sixteen rows."""
    engine = Engine(tmp_path_factory.mktemp("sort"))
    table = pa.table(
        {"n": pa.array(range(ROWS)), "key": [_key(n) for n in range(ROWS)], "pad": [_pad(n) for n in range(ROWS)]}
    )
    with pytest.MonkeyPatch.context() as patch:
        # Small row groups: reading a large one takes most of a tight limit.
        options = (
            "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480, ROW_GROUPS_PER_FILE 50, FILENAME_PATTERN '{i}'"
        )
        patch.setattr(publisher, "_COPY_OPTIONS", options)
        engine.publish(engine.write_parquet(table))
    return engine


@contextmanager
def seen_in(folder: Path) -> Iterator[set[str]]:
    """Names of files that lay in the folder at some time."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            seen.update(path.name for path in folder.rglob("*") if path.is_file())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def sorted_export(engine: Engine, folder: Path, format_name: str, **limits: Any) -> bytes:
    settings = DuckDBSettings(threads=1, spill_directory=folder / "spill", **limits)
    exports = DirectoryStore(folder / "exports")
    exporter = Exporter(engine.results, exports, settings)
    plan = engine.plan(exporter, format_name, sort_by="key")
    try:
        exporter.export(plan, CancelToken())
        (info,) = exports.list("")
        return exports.read(info.key)
    finally:
        left = [path for path in (folder / "spill").rglob("*") if path.is_file()]
        assert left == []


@pytest.mark.parametrize("format_name", ["csv", "parquet"])
def test_a_sort_that_spills_is_the_sort_in_memory(engine: Engine, tmp_path: Path, format_name: str) -> None:
    roomy = sorted_export(engine, tmp_path / "roomy", format_name, memory_limit="2GB", spill_limit="1GB")
    with seen_in(tmp_path / "tight" / "spill") as spilled:
        tight = sorted_export(engine, tmp_path / "tight", format_name, memory_limit="180MB", spill_limit="1GB")
    assert spilled
    assert tight == roomy
    if format_name == "csv":
        lines = tight.decode().splitlines()[1:]
        wanted = sorted(range(ROWS), key=lambda n: (_key(n), n))
        assert lines == [f"{n},{_key(n)},{_pad(n)}" for n in wanted]


def test_a_sort_that_may_not_spill_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match="memory or spill space") as refused:
        sorted_export(engine, tmp_path, "csv", memory_limit="180MB", spill_limit="1MB")
    assert "sortBy" in refused.value.message
    assert list(DirectoryStore(tmp_path / "exports").list("")) == []
    # The same request, with room, works at once.
    assert sorted_export(engine, tmp_path, "csv", memory_limit="2GB", spill_limit="1GB").count(b"\n") == ROWS + 1
