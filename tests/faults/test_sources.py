"""A run is damaged before or during its export: the caller gets an error, and no file is visible."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial, partialmethod
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.catalog.manifest import Part
from engine.common.cancellation import CancelToken
from engine.errors import SourceDamaged, StoreError
from engine.exports.export import export_key
from engine.exports.verify import verify_run
from engine.publishing import publisher
from engine.stores import ObjectStore, block_stream
from tests.faults.fault_table import NEXT, Outcome
from tests.helpers.engine import Engine
from tests.helpers.fault_proxy import THREAD

ROWS = 14_000
TABLE = pa.table({"n": pa.array(range(ROWS)), "text": [str(n * 7919) for n in range(ROWS)]})
_ERROR = Outcome("an error that names no path", NEXT)
FORMATS = ["csv", "parquet"]
_SMALL_PARTS = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048, ROW_GROUPS_PER_FILE 2, FILENAME_PATTERN '{i}'"
FOOTER = -200
"""An offset within the footer of a part, from its end."""


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A run of several parts, whose exports have several blocks."""
    monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((50_000, 20_000),))
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", _SMALL_PARTS)
    engine = Engine(tmp_path / "engine", store)
    publish(engine, "r")
    return engine


def publish(engine: Engine, run: str) -> None:
    """Publish the rows as a run."""
    engine.publish(engine.write_parquet(TABLE), run=run)


def _replace(store: ObjectStore, part: Part, data: bytes) -> None:
    info = store.head(part.key)
    assert info is not None
    store.replace(part.key, data, etag=info.etag)


def _changed(data: bytes, at: int) -> bytes:
    """The data with eight bytes changed."""
    at %= len(data)
    return data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 8]) + data[at + 8 :]


def _other_schema(store: ObjectStore, part: Part) -> None:
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table({"other": pa.array(range(part.rows))}), sink)
    _replace(store, part, sink.getvalue().to_pybytes())


Damage = Callable[[ObjectStore, Part], object]
DAMAGES: dict[str, Damage] = {
    "is deleted": lambda store, part: store.delete(part.key),
    "is cut short": lambda store, part: _replace(store, part, store.read(part.key)[:-100]),
    "has another footer": lambda store, part: _replace(store, part, _changed(store.read(part.key), FOOTER)),
    "has another page": lambda store, part: _replace(store, part, _changed(store.read(part.key), part.bytes // 2)),
    "is replaced by one of another schema": _other_schema,
    "is rewritten with the same bytes": lambda store, part: _replace(store, part, store.read(part.key)),
}


MOMENTS = ("before an export", "while it is read")
OUTCOMES = {f"a part {damage} {moment}": _ERROR for damage in DAMAGES for moment in MOMENTS}


def check_nothing(engine: Engine, before: list[str], threads: set[threading.Thread]) -> None:
    """Check that there is no new file, thread, spilled data or staged data."""
    assert engine.keys("w/") == before
    left = [*(engine.folder / "spill").glob("*"), *(engine.folder / "store" / ".staging").glob("*")]
    assert left == []
    assert {thread for thread in threading.enumerate() if thread.name != THREAD} <= threads


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_damaged_part_fails_the_export_and_leaves_no_file(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    older = engine.export("json")
    content, before = engine.content(older), engine.keys("w/")
    append = block_stream.BlockStream.append
    for number, name in enumerate(OUTCOMES):
        # Each is published after the one before was damaged.
        publish(engine, f"r{number}")
        damage = next(do for text, do in DAMAGES.items() if f"a part {text} " in name)
        # With one thread, the last part is not read before the first bytes are written.
        exporter = engine.exporter(threads=2 if name.endswith("before an export") else 1, range_bytes=1)
        plan = engine.plan(exporter, format_name, run=f"r{number}")
        assert len(plan.run.parts) > 2
        part = plan.run.parts[-1]

        def appending(stream: block_stream.BlockStream, data: bytes, do: Callable[[], object]) -> None:
            append(stream, data)
            monkeypatch.setattr(block_stream.BlockStream, "append", append)
            do()

        if name.endswith("before an export"):
            damage(engine.store, part)
        else:
            do = partial(damage, engine.store, part)
            monkeypatch.setattr(block_stream.BlockStream, "append", partialmethod(appending, do=do))
        threads = set(threading.enumerate())
        with pytest.raises((SourceDamaged, StoreError)) as raised:
            exporter.export(plan, CancelToken())
        assert "/" not in raised.value.message, name
        check_nothing(engine, before, threads)
        assert engine.content(older) == content, name
    publish(engine, "again")
    assert engine.export(format_name, run="again").rows == ROWS


_ERROR_OR_OTHER_VALUES = Outcome(
    "an error, or other values: Parquet has no checksum that is checked", "`tailrace verify` names the part"
)
BIT_ROT = {
    "a bit of a part's footer changes on the disk, size and time unchanged": _ERROR_OR_OTHER_VALUES,
    "a bit of a part's page changes on the disk, size and time unchanged": _ERROR_OR_OTHER_VALUES,
}
_OFFSETS = 10


def _flip(path: Path, data: bytes, at: int, mask: int) -> None:
    """Flip bits of one byte without changing the time; mask 0 restores the file."""
    times = path.stat()
    path.write_bytes(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", BIT_ROT)
def test_bit_rot_fails_the_export_or_is_found_by_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, format_name: str
) -> None:
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", _SMALL_PARTS)
    engine = Engine(tmp_path)
    publish(engine, "r")
    exporter = engine.exporter(threads=2, range_bytes=1)
    plan = engine.plan(exporter, format_name)
    part = plan.run.parts[0]
    path = engine.store.local_path(part.key)
    assert path is not None
    data = path.read_bytes()
    pages = part.bytes - 8 - int.from_bytes(data[-8:-4], "little")
    first, last = (pages, part.bytes - 1) if "footer" in name else (4, pages - 1)
    threads = set(threading.enumerate())
    for place in range(_OFFSETS):
        at = first + (last - first) * place // (_OFFSETS - 1)
        _flip(path, data, at, 1 << (place % 8))
        # No other error is allowed, and no file may be visible.
        with suppress(SourceDamaged):
            exporter.export(plan, CancelToken())
            engine.store.delete(export_key(plan.run.workflow_id, plan.export_id, plan.request.format))
        check_nothing(engine, [], threads)
        wrong = [(checked.key, checked.problem) for checked in verify_run(engine.results, plan.run) if checked.problem]
        assert wrong == [(part.key, "its bytes differ from those that were published")]
        _flip(path, data, at, 0)
    assert exporter.export(plan, CancelToken()).rows == ROWS
