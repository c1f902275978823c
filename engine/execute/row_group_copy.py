"""Exports a whole run as Parquet by copying its row groups unchanged; nothing is decoded."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from engine.catalog.manifest import ROW_HASH, Part
from engine.catalog.schema import ROW_ID
from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import SourceDamaged
from engine.parquet.footer_merge import MAGIC, TAIL_BYTES, ByteRange, FooterMerger
from engine.plan.planner import ExportPlan
from engine.stores.port import ObjectStore

_READ_BYTES = 8 * 1024 * 1024
_READ_AHEAD = 4
"""Reads in flight while earlier bytes are written: 32 MiB in memory."""

_FOOTER_ERRORS = (ValueError, LookupError, TypeError, AttributeError)
"""Raised for bytes that are not a footer: fields are missing, have another type, or point beyond the end."""


def copy_row_groups(
    plan: ExportPlan,
    store: ObjectStore,
    forward: Callable[[bytes], None],
    *,
    cancel: CancelToken,
    progress: Progress,
) -> int:
    """Write the file of a plan that takes all rows through ``forward`` and return the number of its rows.

    Raises SourceDamaged, Cancelled, StoreError, or whatever ``forward`` raised; bytes may have been forwarded then.
    """
    row_id = () if plan.request.include_row_ids else (ROW_ID,)
    merger = FooterMerger([*row_id, *(ROW_HASH if plan.run.row_hashes else ())])
    forward(MAGIC)
    _copy(plan.run.parts, store, forward, merger, cancel, progress)
    with raising_source_damaged():
        footer = merger.footer()
    forward(footer)
    return sum(part.rows for part in plan.run.parts)


def _copy(
    parts: Sequence[Part],
    store: ObjectStore,
    forward: Callable[[bytes], None],
    merger: FooterMerger,
    cancel: CancelToken,
    progress: Progress,
) -> None:
    with ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="copy") as pool:
        ahead: deque[Future[bytes]] = deque()
        try:
            for part, byte_range in _byte_ranges(parts, store, merger, progress):
                cancel.raise_if_cancelled()
                ahead.append(pool.submit(_read, store, part, byte_range))
                if len(ahead) == _READ_AHEAD:
                    forward(ahead.popleft().result())
            while ahead:
                forward(ahead.popleft().result())
        finally:
            for future in ahead:
                future.cancel()


@contextmanager
def raising_source_damaged() -> Iterator[None]:
    """Raise SourceDamaged for errors of bytes that are not a footer."""
    try:
        yield
    except _FOOTER_ERRORS as error:
        raise SourceDamaged("A part of the run cannot be read.") from error


def _byte_ranges(
    parts: Sequence[Part], store: ObjectStore, merger: FooterMerger, progress: Progress
) -> Iterator[tuple[Part, ByteRange]]:
    rows = 0
    for part in parts:
        with raising_source_damaged():
            for byte_range in merger.add(_footer(store, part)):
                if byte_range.start < 0 or not 0 < byte_range.length <= part.bytes - byte_range.start:
                    raise ValueError("a row group ends beyond the file")
                for start in range(0, byte_range.length, _READ_BYTES):
                    yield part, ByteRange(byte_range.start + start, min(_READ_BYTES, byte_range.length - start))
            if merger.rows != rows + part.rows:
                raise ValueError("the number of rows differs from the manifest")
        rows += part.rows
        progress.add_rows(part.rows)


def _footer(store: ObjectStore, part: Part) -> bytes:
    tail = _read(store, part, ByteRange(part.bytes - TAIL_BYTES, TAIL_BYTES))
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or length > part.bytes - TAIL_BYTES - len(MAGIC):
        raise ValueError("the file does not end with a footer")
    return _read(store, part, ByteRange(part.bytes - TAIL_BYTES - length, length))


def _read(store: ObjectStore, part: Part, byte_range: ByteRange) -> bytes:
    return store.read(part.key, start=byte_range.start, length=byte_range.length, etag=part.etag)
