"""Rows of a result as text, read while the statement runs, so that a result of any size takes bounded memory."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa

Row = tuple[str | None, ...]

_BATCH_ROWS = 2_048
_AS_TEXT = "CAST(COLUMNS(*) AS VARCHAR)"
_KINDS = {"INTERRUPT Error": duckdb.InterruptException, "Out of Memory Error": duckdb.OutOfMemoryException}
"""Errors of DuckDB that a session distinguishes, by the text that Arrow has of them."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The first and the last rows of a result, without overlap, and the number of all rows."""

    first: list[Row]
    last: list[Row]
    count: int


class TextRows:
    """Cells as DuckDB displays them, None for null. The rows can be read once."""

    def __init__(
        self,
        names: tuple[str, ...],
        types: tuple[str, ...],
        batches: "Iterator[pa.RecordBatch]",
        translated_errors: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.names = names
        self.types = types
        """DuckDB's names of the types, as in ``DESCRIBE``."""
        self._batches = batches
        self._translated_errors = translated_errors

    @classmethod
    def of(
        cls,
        relation: duckdb.DuckDBPyRelation | None,
        translated_errors: Callable[[], AbstractContextManager[None]],
    ) -> "TextRows":
        """The rows of a relation; None is the result of a statement without rows. Raises duckdb.Error."""
        if relation is None:
            return cls((), (), iter(()), translated_errors)
        names, types = tuple(relation.columns), tuple(map(str, relation.types))
        with _errors_of_duckdb():
            return cls(names, types, iter(relation.project(_AS_TEXT).to_arrow_reader(_BATCH_ROWS)), translated_errors)

    def pages(self) -> Iterator[list[Row]]:
        """Yield the rows in pieces of some thousands. Raises what ``translated_errors`` raises."""
        for batch in self._read():
            yield _rows(batch)

    def ends(self, first: int, last: int) -> Ends:
        """Read all rows, and keep the first and the last of them; all if there are no more than both together."""
        head: list[Row] = []
        tail: deque[pa.RecordBatch] = deque()
        count = 0
        for batch in self._read():
            count += batch.num_rows
            missing = first - len(head)
            head += _rows(batch.slice(0, missing)) if missing > 0 else []
            tail.append(batch.slice(max(0, missing)))
            while len(tail) > 1 and sum(one.num_rows for one in tail) - tail[0].num_rows >= last:
                tail.popleft()
        rows = [row for batch in tail for row in _rows(batch.slice(max(0, batch.num_rows - last)))]
        return Ends(head, rows[max(0, len(rows) - last) :], count)

    def _read(self) -> "Iterator[pa.RecordBatch]":
        with self._translated_errors(), _errors_of_duckdb():
            yield from self._batches


@contextmanager
def _errors_of_duckdb() -> Iterator[None]:
    """Raise the errors of DuckDB that Arrow passes on, without excerpts, which are of our projection."""
    # Not at the top: pyarrow starts threads, and the process that forks statements may not have any.
    import pyarrow as pa

    try:
        yield
    except duckdb.Error as error:
        raise type(error)(_without_excerpt(error)) from error
    except (OSError, pa.ArrowException) as error:
        message = _without_excerpt(error)
        kind = next((kind for prefix, kind in _KINDS.items() if message.startswith(prefix)), duckdb.Error)
        raise kind(message) from error


def _without_excerpt(error: Exception) -> str:
    return str(error).split("\n\nLINE ")[0]


def _rows(batch: "pa.RecordBatch") -> list[Row]:
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
