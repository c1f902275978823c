"""Conditional requests (RFC 9110, section 13)."""

import re
from datetime import UTC, datetime

from starlette.datastructures import Headers

NOT_MODIFIED = 304
PRECONDITION_FAILED = 412

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*")
_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
"""The current format of dates, and the two obsolete ones that a recipient must accept (section 5.6.7)."""


def one_value(headers: Headers, name: str) -> str | None:
    """Return the value of a header, with those of repeated lines joined (section 5.3); None if there is none."""
    values = headers.getlist(name)
    return ", ".join(values).strip(" \t") if values else None


def failed_precondition(headers: Headers, *, etag: str, modified: datetime) -> int | None:
    """Return the status of the answer to a GET or HEAD without the file (304 or 412), or None to send the file.

    ``etag`` is the strong tag of the file with its quotes, ``modified`` its Last-Modified. In the order of section
    13.2.2: dates count only where no tags are given, and malformed dates are ignored.
    """
    wanted, known = one_value(headers, "if-match"), one_value(headers, "if-none-match")
    changed_since, last_seen = _date(headers, "if-unmodified-since"), _date(headers, "if-modified-since")
    seconds = modified.replace(microsecond=0)
    if wanted is not None:
        # The strong comparison: a weak tag never matches.
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
    """Return the Range header of a GET, unless its If-Range does not have the strong tag of this version.

    A date in If-Range never matches, since a file may change twice within a second.
    """
    if method != "GET" or one_value(headers, "if-range") not in (None, etag):
        return None
    return one_value(headers, "range")


def _tags(value: str) -> list[str]:
    """Split a list of entity tags, which may contain commas; a malformed list has none."""
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
