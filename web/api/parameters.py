"""Reads the query of a URL, or the body of a POST, into an export request."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from urllib.parse import parse_qsl

from engine.common.strict_json import loads
from engine.errors import InvalidFilter, InvalidRequest, quoted_excerpt
from engine.request.formats import COMPRESSIONS, DELIMITERS, FORMATS
from engine.request.request import CsvOptions, ExportRequest, read_fields, read_filters, read_row_ids

ORDERS = {"asc": False, "desc": True}
_BLANKS = " \t\r\n"
_BOOLEANS = {"true": True, "false": False}

_ROW_SELECTION = ("runId", "sinceRunId", "filters", "sortBy", "order", "rowIds", "includeRowIds", "fields", "flatten")
PARAMETERS = ("format", *_ROW_SELECTION, "compression", "bom", "delimiter", "formulaGuard", "expiresIn")
"""Of an export."""
_FILE_OPTIONS = ("format", "compression", "bom", "delimiter", "formulaGuard", "expiresIn")
STATEMENT_PARAMETERS = ("sql", "params", "runId", "previous", *_FILE_OPTIONS)
"""Of an export of a statement's result."""
PAGE_PARAMETERS = ("format", *_ROW_SELECTION, "page", "limit", "gzip", "includeAnomalies", "download")
"""Of a page of rows."""
COLUMN_PARAMETERS = ("field", "runId", "filters", "rowIds")
"""Of the statistics of a column."""
LIST_PARAMETERS = ("page", "limit")
"""Of a list."""
WORKFLOWS_PARAMETERS = ("page", "skip", "limit", "search", "state", "tags")
"""Of the list of workflows."""
HISTORY_PARAMETERS = ("page", "limit", "status")
"""Of the list of runs."""
PARQUET_PARAMETERS = ("runId",)
"""Of the Parquet file of a run."""

DEFAULT_LIMIT = 25
MAX_LIMIT = 1000
MIN_URL_TTL_SECONDS = 60
MAX_NUMBER = 10**15
"""Of pages and rows: more than there are, and exact as a number of any client."""
DOWNLOADS = ("stream", "link")
_REPEATABLE = ("tags",)
_MAX_SUGGESTION_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Paging:
    """A page, counted from 1, and the entries per page; ``skip`` entries are before it, if the caller said so."""

    page: int
    limit: int
    skip: int | None = None

    @property
    def offset(self) -> int:
        """The number of entries before the page."""
        return (self.page - 1) * self.limit if self.skip is None else self.skip

    def pages(self, total: int) -> int:
        """Return the number of pages for ``total`` entries."""
        return -(-total // self.limit) if self.limit else 0


def read_query(raw_query: bytes, known: Sequence[str] = PARAMETERS) -> dict[str, object]:
    """Parse the parameters of a URL, with ``filters`` and ``rowIds`` as lists. Raises InvalidRequest."""
    values: dict[str, object] = {}
    for name, text in split_query(raw_query):
        check_name(name, known)
        if name in _REPEATABLE:
            text = f"{values[name]},{text}" if name in values else text
        elif name in values:
            raise InvalidRequest(f"Duplicate parameter '{name}'.", parameter=name)
        values[name] = text
    if "filters" in values:
        values["filters"] = _parsed(str(values["filters"]), "filters")
    for name in ("rowIds", "fields"):
        if name in values:
            values[name] = split_list(str(values[name]), name)
    for name in ("includeRowIds", "flatten", "bom", "formulaGuard", "gzip", "includeAnomalies"):
        if name in values:
            values[name] = _BOOLEANS.get(str(values[name]), values[name])
    return values


def split_query(raw_query: bytes) -> list[tuple[str, str]]:
    """The names and values in the query of a URL, in their order. Raises InvalidRequest."""
    try:
        return parse_qsl(raw_query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError as error:
        raise InvalidRequest(
            "The query must be URL-encoded UTF-8 with at most 64 parameters.", parameter="query"
        ) from error


def read_paging(values: Mapping[str, object], max_limit: int = MAX_LIMIT) -> Paging:
    """Read the page that is requested, by ``page`` or ``skip``. Raises InvalidRequest."""
    page = _number(values, "page", 1, minimum=1, maximum=MAX_NUMBER)
    limit = _number(values, "limit", DEFAULT_LIMIT, minimum=0, maximum=max_limit)
    if "skip" not in values:
        return Paging(page, limit)
    if "page" in values:
        raise InvalidRequest("page and skip cannot be used together: leave one of them out.", parameter="skip")
    skip = _number(values, "skip", 0, minimum=0, maximum=MAX_NUMBER)
    return Paging(skip // limit + 1 if limit else 1, limit, skip)


def read_choice(values: Mapping[str, object], name: str, known: Collection[str]) -> str | None:
    """Read a parameter that must be one of ``known``; None if it is absent. Raises InvalidRequest."""
    value = values.get(name)
    if value is not None and value not in known:
        raise InvalidRequest(f"{name} must be one of {', '.join(known)}.", parameter=name)
    return None if value is None else str(value)


def read_url_ttl(values: Mapping[str, object], maximum: int) -> timedelta:
    """Read for how long the URL is to be valid, at most and by default ``maximum`` seconds. Raises InvalidRequest."""
    minimum = min(MIN_URL_TTL_SECONDS, maximum)
    return timedelta(seconds=_number(values, "expiresIn", maximum, minimum=minimum, maximum=maximum))


def read_body(body: bytes, known: Sequence[str] = PARAMETERS) -> dict[str, object]:
    """Parse the parameters in the body of a POST. Raises InvalidRequest."""
    values = parse_body(body)
    for name, value in values.items():
        check_name(name, known)
        if value is None:
            # Most clients mean that it is absent, but one that lost its row ids must not get every row.
            raise InvalidRequest(f"{name} must not be null: leave it out, or send a value.", parameter=name)
    return values


def parse_body(body: bytes) -> dict[str, object]:
    """Parse a JSON object; an empty body is an empty object. Raises InvalidRequest."""
    try:
        values = loads(body.decode()) if body.strip() else {}
    except ValueError as error:
        raise InvalidRequest(f"The body is {_reason(error)}.", parameter="body") from error
    if not isinstance(values, dict):
        raise InvalidRequest("The body must be a JSON object whose members are parameters.", parameter="body")
    return values


def make_request(workflow_id: str, values: Mapping[str, object]) -> ExportRequest:
    """Make an export request of these parameters and the defaults of others. Raises InvalidRequest."""
    return ExportRequest(
        workflow=workflow_id,
        run=_text(values, "runId"),
        since_run=_text(values, "sinceRunId"),
        compression=COMPRESSIONS[_choice(values, "compression", COMPRESSIONS, "none")],
        format=FORMATS[_choice(values, "format", FORMATS, "csv")],
        filters=read_filters(values.get("filters", [])),
        sort_by=_text(values, "sortBy"),
        descending=ORDERS[_choice(values, "order", ORDERS, "asc")],
        row_ids=read_row_ids(values["rowIds"]) if "rowIds" in values else None,
        include_row_ids=read_flag(values, "includeRowIds"),
        fields=read_fields(values["fields"]) if "fields" in values else None,
        flatten=read_flag(values, "flatten"),
        csv=CsvOptions(
            bom=read_flag(values, "bom"),
            delimiter=_choice(values, "delimiter", DELIMITERS, "comma"),
            formula_guard=read_flag(values, "formulaGuard"),
        ),
    )


def split_list(text: str, name: str) -> object:
    """Parse ``a,b``, without the blanks around each entry, or a JSON array. Raises InvalidRequest."""
    if text.lstrip().startswith("["):
        return _parsed(text, name)
    return [entry.strip(_BLANKS) for entry in text.split(",")] if text.strip(_BLANKS) else []


def check_name(name: str, known: Sequence[str]) -> None:
    """Raise InvalidRequest, with the nearest name, unless it is a known one."""
    if name not in known:
        # The time and memory of a search for similar names grow with the length of the name.
        near = get_close_matches(name, known, 1) if len(name) <= _MAX_SUGGESTION_LENGTH else []
        others = f"the parameters are {', '.join(known)}." if known else "this request takes none."
        hint = f"did you mean {near[0]}?" if near else others
        raise InvalidRequest(f"Unknown parameter {quoted_excerpt(name)}; {hint}", parameter=name[:100])


def _parsed(text: str, name: str) -> object:
    try:
        return loads(text)
    except ValueError as error:
        kind = InvalidFilter if name == "filters" else InvalidRequest
        raise kind(f"{name} is {_reason(error)}; send a URL-encoded JSON array.", parameter=name) from error


def _reason(error: ValueError) -> str:
    return "not UTF-8" if isinstance(error, UnicodeError) else str(error)


def _number(values: Mapping[str, object], name: str, default: int, *, minimum: int, maximum: int) -> int:
    value = values.get(name, default)
    if isinstance(value, str) and re.fullmatch("[0-9]{1,16}", value, re.ASCII):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise InvalidRequest(f"{name} must be an integer from {minimum} to {maximum}.", parameter=name)
    return value


def _text(values: Mapping[str, object], name: str) -> str | None:
    value = values.get(name)
    if value is not None and (not isinstance(value, str) or (not value and name != "runId")):
        raise InvalidRequest(f"{name} must be a non-empty string.", parameter=name)
    return value if isinstance(value, str) else None


def _choice(values: Mapping[str, object], name: str, known: Mapping[str, object], default: str) -> str:
    value = values.get(name, default)
    if not isinstance(value, str) or value not in known:
        raise InvalidRequest(f"{name} must be one of {', '.join(known)}, in lower case.", parameter=name)
    return value


def read_flag(values: Mapping[str, object], name: str) -> bool:
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false.", parameter=name)
    return value
