"""Rows of a result as text, read while the statement runs, so that a result of any size takes bounded memory."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain

import duckdb

Row = tuple[str | None, ...]

_BATCH_ROWS = 2_048
_AS_TEXT = "CAST(COLUMNS(*) AS VARCHAR)"


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
        batches: Iterator[list[Row]],
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
        batches = _batches(relation.project(_AS_TEXT))
        with _without_excerpts():
            # The first read begins to run it; the others go on, so rows are not collected.
            first = next(batches, [])
        return cls(names, types, chain([first], batches), translated_errors)

    def pages(self) -> Iterator[list[Row]]:
        """Yield the rows in pieces of some thousands. Raises what ``translated_errors`` raises."""
        with self._translated_errors(), _without_excerpts():
            yield from self._batches

    def ends(self, first: int, last: int) -> Ends:
        """Read all rows, and keep the first and the last of them; all if there are no more than both together."""
        head: list[Row] = []
        tail: deque[Row] = deque(maxlen=last)
        count = 0
        for rows in self.pages():
            count += len(rows)
            missing = max(0, first - len(head))
            head += rows[:missing]
            tail.extend(rows[missing:])
        return Ends(head, [*tail], count)


def _batches(relation: duckdb.DuckDBPyRelation) -> Iterator[list[Row]]:
    """Rows of texts, while the statement runs. Raises duckdb.Error.

    By Arrow, since DuckDB 2 collects rows that it gives as values of Python.
    """
    try:
        for batch in relation.to_arrow_reader(_BATCH_ROWS):
            yield [*zip(*(column.to_pylist() for column in batch.columns), strict=True)]
    except OSError as error:
        # Arrow has only the text of the error.
        name = str(error).partition(" Error: ")[0].replace(" ", "").lower() + "exception"
        kinds = {kind.__name__.lower(): kind for kind in vars(duckdb).values() if isinstance(kind, type)}
        raise kinds.get(name, duckdb.Error)(str(error)) from error


@contextmanager
def _without_excerpts() -> Iterator[None]:
    """Raise errors of DuckDB without the excerpt of the statement, which is of our projection."""
    try:
        yield
    except duckdb.Error as error:
        raise type(error)(str(error).split("\n\nLINE ")[0]) from error
