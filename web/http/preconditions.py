"""Conditional requests of RFC 9110, section 13: what a caller has already, or wants only if it is unchanged."""

import re
from datetime import UTC, datetime

from starlette.datastructures import Headers

NOT_MODIFIED = 304
PRECONDITION_FAILED = 412

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*")
_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
"""The date of today, and the two old ones that a recipient must read as well (section 5.6.7)."""


def one_value(headers: Headers, name: str) -> str | None:
    """The header's value, with those of repeated lines joined as section 5.3 has it; None if there is none."""
    values = headers.getlist(name)
    return ", ".join(values).strip(" \t") if values else None


def refused(headers: Headers, *, etag: str, modified: datetime) -> int | None:
    """The status that GET or HEAD gets instead of the file (304 or 412), or None if it gets the file.

    ``etag`` is the file's strong tag with its quotes, ``modified`` what its Last-Modified says. In the order of section
    13.2.2; dates count only where no tags are given, and what is no date counts as not there.
    """
    wanted, known = one_value(headers, "if-match"), one_value(headers, "if-none-match")
    changed_since, last_seen = _date(headers, "if-unmodified-since"), _date(headers, "if-modified-since")
    seconds = modified.replace(microsecond=0)
    if wanted is not None:
        # The strong comparison: a weak tag equals nothing.
        if wanted != "*" and etag not in _tags(wanted):
            return PRECONDITION_FAILED
    elif changed_since is not None and seconds > changed_since:
        return PRECONDITION_FAILED
    if known is not None:
        if known == "*" or etag in {tag.removeprefix("W/") for tag in _tags(known)}:
            return NOT_MODIFIED
    elif last_seen is not None and seconds <= last_seen:
        return NOT_MODIFIED
    return None


def range_header(method: str, headers: Headers, *, etag: str) -> str | None:
    """The Range header that counts: of a GET, and only if its If-Range names this very version by a strong tag.

    A date in If-Range means the whole file: it names a second, not a version.
    """
    if method != "GET" or one_value(headers, "if-range") not in (None, etag):
        return None
    return one_value(headers, "range")


def _tags(value: str) -> list[str]:
    """The entity tags of a list, or none of them if it is no such list. A comma may be part of a tag."""
    value = value.strip(" \t,")
    return re.findall(_TAG, value) if _TAGS.fullmatch(value) else []


def _date(headers: Headers, name: str) -> datetime | None:
    value = one_value(headers, name)
    for pattern in _DATES if value else ():
        try:
            return datetime.strptime(value or "", pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
