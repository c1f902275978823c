"""A Parquet export of a whole run: its row groups as they are. Nothing is decoded, so nothing changes."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from engine.catalog.manifest import Part
from engine.catalog.schema import ROW_ID
from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import SourceDamaged
from engine.parquet.footer_merge import MAGIC, TAIL_BYTES, FooterJoin, Span
from engine.plan.planner import ExportPlan
from engine.stores.port import ObjectStore

_PIECE_BYTES = 8 * 1024 * 1024
_READ_AHEAD = 4
"""Pieces that are read while others are written: 32 MiB in memory."""

_NO_FOOTER = (ValueError, LookupError, TypeError, AttributeError)
"""What comes of bytes that are no footer: fields are missing, of another type, or lead beyond the end."""


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
    join = FooterJoin(None if plan.request.include_row_ids else ROW_ID)
    forward(MAGIC)
    _copy(plan.run.parts, store, forward, join, cancel, progress)
    with told_as_damage():
        footer = join.footer()
    forward(footer)
    return sum(part.rows for part in plan.run.parts)


def _copy(
    parts: Sequence[Part],
    store: ObjectStore,
    forward: Callable[[bytes], None],
    join: FooterJoin,
    cancel: CancelToken,
    progress: Progress,
) -> None:
    with ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="copy") as pool:
        ahead: deque[Future[bytes]] = deque()
        try:
            for part, piece in _pieces(parts, store, join, progress):
                cancel.raise_if_cancelled()
                ahead.append(pool.submit(_read, store, part, piece))
                if len(ahead) == _READ_AHEAD:
                    forward(ahead.popleft().result())
            while ahead:
                forward(ahead.popleft().result())
        finally:
            for future in ahead:
                future.cancel()


@contextmanager
def told_as_damage() -> Iterator[None]:
    """Raise SourceDamaged for what comes of bytes that are no footer."""
    try:
        yield
    except _NO_FOOTER as error:
        raise SourceDamaged("A part of the run cannot be read.") from error


def _pieces(
    parts: Sequence[Part], store: ObjectStore, join: FooterJoin, progress: Progress
) -> Iterator[tuple[Part, Span]]:
    rows = 0
    for part in parts:
        with told_as_damage():
            for span in join.add(_footer(store, part)):
                if span.start < 0 or not 0 < span.length <= part.bytes - span.start:
                    raise ValueError("a row group beyond the file")
                for start in range(0, span.length, _PIECE_BYTES):
                    yield part, Span(span.start + start, min(_PIECE_BYTES, span.length - start))
            if join.rows != rows + part.rows:
                raise ValueError("another number of rows")
        rows += part.rows
        progress.add_rows(part.rows)


def _footer(store: ObjectStore, part: Part) -> bytes:
    tail = _read(store, part, Span(part.bytes - TAIL_BYTES, TAIL_BYTES))
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or length > part.bytes - TAIL_BYTES - len(MAGIC):
        raise ValueError("no footer at the end")
    return _read(store, part, Span(part.bytes - TAIL_BYTES - length, length))


def _read(store: ObjectStore, part: Part, span: Span) -> bytes:
    return store.read(part.key, start=span.start, length=span.length, etag=part.etag)
