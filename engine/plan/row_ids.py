"""Row ids that publishing made: the number of the row as text, so where a row is needs no look at the run."""

import re
from bisect import bisect_left
from collections.abc import Iterable

from engine.catalog.manifest import RowGroup, Run
from engine.catalog.schema import ROW_ID

ROW_ID_DIGITS = 12
"""Digits of a made row id: texts of one length have the order of their numbers."""

_MADE = re.compile(rf"[0-9]{{{ROW_ID_DIGITS}}}")


def rows_of(run: Run, row_ids: Iterable[str]) -> tuple[tuple[int, ...], ...] | None:
    """By part, the numbers within it of the rows that have these ids; None where ids do not tell numbers."""
    if run.row_id_field is not None:
        return None
    numbers = sorted({int(text) for text in row_ids if _MADE.fullmatch(text)})
    found = []
    first = 0
    for part in run.parts:
        start, rows = first, []
        for group in part.row_groups:
            hits = numbers[bisect_left(numbers, first) : bisect_left(numbers, first + group.rows)]
            if hits and not _holds(group, first):
                return None
            rows += [number - start for number in hits]
            first += group.rows
        found.append(tuple(rows))
    return tuple(found)


def made_id(number: int) -> str:
    """The id of a row."""
    return f"{number:0{ROW_ID_DIGITS}}"


def _holds(group: RowGroup, first: int) -> bool:
    """Whether the row group's own bounds say that its ids are the numbers from ``first`` on."""
    found = group.statistics.get(ROW_ID)
    bounds = (made_id(first), made_id(first + group.rows - 1))
    return found is not None and (found.minimum, found.maximum) == bounds
