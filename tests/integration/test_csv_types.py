"""Cells that are nearly dates, moments, booleans or numbers: a type has exactly the text that a CSV export writes."""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime

import duckdb
import pytest

from engine.catalog.types import BIGINT, BOOLEAN, DATE, TIMESTAMP, ColumnType
from engine.common.quoting import literal
from engine.publishing.csv.types import DOES_NOT_FIT, checked_cell

OTHERS = "0129 -+:.TtZzeEx_()é٣\0\n"
"""Characters that DuckDB's casts know, or might take for others."""


def _is_date(cell: str) -> bool:
    return bool(re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", cell)) and _reads(lambda: date.fromisoformat(cell))


def _is_moment(cell: str) -> bool:
    form = "[0-9-]{10}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.][0-9]{0,5}[1-9])?Z"
    return bool(re.fullmatch(form, cell)) and _is_date(cell[:10]) and _reads(lambda: datetime.fromisoformat(cell))


def _is_whole(cell: str) -> bool:
    return bool(re.fullmatch("0|-?[1-9][0-9]*", cell)) and -(2**63) <= int(cell) < 2**63


def _reads(read: Callable[[], object]) -> bool:
    try:
        read()
    except ValueError:
        return False
    return True


CASES: dict[str, tuple[ColumnType, Callable[[str], bool], tuple[str, ...]]] = {
    "dates": (DATE, _is_date, ("2026-01-31", "0001-01-01", "2024-02-29", "9999-12-31")),
    "moments": (
        TIMESTAMP,
        _is_moment,
        ("2026-01-31T20:00:00Z", "0001-01-01T00:00:00Z", "2026-12-31T23:59:59Z", "2026-01-31T10:00:00.5Z"),
    ),
    "booleans": (BOOLEAN, lambda cell: cell in ("true", "false"), ("true", "false", "t", "1", "yes", "TRUE")),
    "whole numbers": (BIGINT, _is_whole, ("7", "-10", "9223372036854775807", "-9223372036854775808", "1000000")),
}


@pytest.mark.parametrize("name", CASES)
def test_a_cell_has_a_type_only_if_it_is_its_own_text(name: str) -> None:
    type_, belongs, texts = CASES[name]
    cells = sorted({cell for text in texts for cell in _near(text) if cell})
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    connection.execute("CREATE TABLE given AS SELECT unnest($cells) AS cell", {"cells": cells})
    # The error ends a statement, and all cells are tried in one.
    checked = checked_cell("cell", type_).replace(f"error({literal(DOES_NOT_FIT)})", "NULL")
    taken = connection.execute(f"SELECT cell FROM given WHERE {checked} IS NOT NULL ORDER BY cell").fetchall()
    assert [cell for (cell,) in taken] == [cell for cell in cells if belongs(cell)]
    assert taken


def _near(text: str) -> Iterator[str]:
    """The text with one character more, less, or another; and with two others next to each other."""
    yield text
    for place in range(len(text) + 1):
        yield text[:place] + text[place + 1 :]
        for one in OTHERS:
            yield text[:place] + one + text[place:]
            yield text[:place] + one + text[place + 1 :]
            yield from (text[:place] + one + two + text[place + 2 :] for two in OTHERS)
