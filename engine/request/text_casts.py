"""Text cells read as numbers or moments: SQL that is null where a cell spells none (web/API.md, section 4)."""

from engine.catalog.types import TIMESTAMP
from engine.common.quoting import literal
from engine.request.literals import INSTANT_PATTERN, NUMBER_PATTERN

_TO_THE_MINUTE = r"^(.{16})(Z|[+-].*)?$"


def matches(cell: str, pattern: str) -> str:
    """Whether the whole text is of that pattern."""
    return f"regexp_full_match({cell}, {literal(pattern)})"


def number_in(cell: str) -> str:
    """The DOUBLE nearest to the number that the text spells."""
    return f"CASE WHEN {matches(cell, NUMBER_PATTERN)} THEN TRY_CAST({cell} AS DOUBLE) END"


def instant_in(cell: str) -> str:
    """The moment that the text names, in UTC to the microsecond."""
    return f"CASE WHEN {matches(cell, INSTANT_PATTERN)} THEN TRY_CAST({with_seconds(cell)} AS {TIMESTAMP.sql()}) END"


def with_seconds(cell: str) -> str:
    """The text of a moment with its seconds: DuckDB reads none that ends with the minutes."""
    return rf"regexp_replace({cell}, {literal(_TO_THE_MINUTE)}, '\1:00\2')"
