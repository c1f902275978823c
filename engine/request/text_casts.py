"""SQL that reads text cells as numbers or dates; null for a cell that is neither (web/API.md, section 4)."""

from engine.catalog.types import TIMESTAMP
from engine.common.quoting import literal
from engine.request.literals import INSTANT_PATTERN, NUMBER_PATTERN

_TO_THE_MINUTE = r"^(.{16})(Z|[+-].*)?$"


def matches(cell: str, pattern: str) -> str:
    """SQL for whether the entire text matches a pattern."""
    return f"regexp_full_match({cell}, {literal(pattern)})"


def number_in(cell: str) -> str:
    """SQL for the DOUBLE nearest to the number that the text spells."""
    return f"CASE WHEN {matches(cell, NUMBER_PATTERN)} THEN TRY_CAST({cell} AS DOUBLE) END"


def instant_in(cell: str) -> str:
    """SQL for the moment that the text names, a TIMESTAMP in UTC."""
    return f"CASE WHEN {matches(cell, INSTANT_PATTERN)} THEN TRY_CAST({with_seconds(cell)} AS {TIMESTAMP.sql()}) END"


def with_seconds(cell: str) -> str:
    """SQL that adds seconds to a date-time without them, which DuckDB cannot cast."""
    return rf"regexp_replace({cell}, {literal(_TO_THE_MINUTE)}, '\1:00\2')"
