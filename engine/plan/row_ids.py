"""Row ids that publishing generates: the number of the row as text, so a row is found without a scan."""

import re
from bisect import bisect_left
from collections.abc import Iterable

from engine.catalog.manifest import RowGroup, Run
from engine.catalog.schema import ROW_ID

ROW_ID_DIGITS = 12
"""Fixed, so that ids sort as their numbers do."""

_GENERATED_ID = re.compile(rf"[0-9]{{{ROW_ID_DIGITS}}}")


def row_numbers_by_part(run: Run, row_ids: Iterable[str]) -> tuple[tuple[int, ...], ...] | None:
    """For each part, the sorted numbers within it of the rows with these ids.

    None if the run's ids are not row numbers: they come from a field, or the statistics of a row group contradict it.
    """
    if run.row_id_field is not None:
        return None
    numbers = sorted({int(text) for text in row_ids if _GENERATED_ID.fullmatch(text)})
    by_part = []
    first = 0
    for part in run.parts:
        part_start, rows = first, []
        for group in part.row_groups:
            hits = numbers[bisect_left(numbers, first) : bisect_left(numbers, first + group.rows)]
            if hits and not _has_generated_ids(group, first):
                return None
            rows += [number - part_start for number in hits]
            first += group.rows
        by_part.append(tuple(rows))
    return tuple(by_part)


def _row_id(number: int) -> str:
    return f"{number:0{ROW_ID_DIGITS}}"


def _has_generated_ids(group: RowGroup, first: int) -> bool:
    """Whether the row group's statistics agree with ids that are the row numbers from ``first`` on."""
    statistics = group.statistics.get(ROW_ID)
    bounds = (_row_id(first), _row_id(first + group.rows - 1))
    return statistics is not None and (statistics.minimum, statistics.maximum) == bounds
