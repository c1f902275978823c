"""Where the query of a URL, or the body of its POST twin, becomes an export request."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import parse_qsl

from engine.common.strict_json import loads
from engine.errors import InvalidFilter, InvalidRequest, quoted_excerpt
from engine.request.formats import DELIMITERS, FORMATS
from engine.request.request import CsvOptions, ExportRequest, read_filters, read_row_ids

ORDERS = {"asc": False, "desc": True}
_BOOLEANS = {"true": True, "false": False}

_CHOOSING = ("runId", "filters", "sortBy", "order", "rowIds", "includeRowIds")
PARAMETERS = ("format", *_CHOOSING, "bom", "delimiter", "formulaGuard")
"""Of an export."""
PAGE_PARAMETERS = ("format", *_CHOOSING, "page", "limit")
"""Of a page of rows."""
COLUMN_PARAMETERS = ("field", "runId", "filters", "rowIds")
"""Of the facts of a column."""
LIST_PARAMETERS = ("page", "limit")
"""Of a list of workflows."""

DEFAULT_LIMIT = 25
MAX_LIMIT = 1000
_MAX_PAGE = 10**15
_LONGEST_MISSPELT = 100


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page, from 1, of how many entries each; pages of none are for those who only count."""

    page: int
    limit: int

    @property
    def offset(self) -> int:
        """Entries before the page."""
        return (self.page - 1) * self.limit

    def pages(self, total: int) -> int:
        """How many pages hold so many entries."""
        return -(-total // self.limit) if self.limit else 0


def read_query(raw_query: bytes, known: Sequence[str] = PARAMETERS) -> dict[str, object]:
    """The parameters of a URL, ``filters`` and ``rowIds`` as parsed values. Raises InvalidRequest."""
    try:
        pairs = parse_qsl(raw_query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError as error:
        raise InvalidRequest(
            "The query is not URL-encoded UTF-8 of at most 64 parameters.", parameter="query"
        ) from error
    values: dict[str, object] = {}
    for name, text in pairs:
        _check_name(name, known)
        if name in values:
            raise InvalidRequest(f"{name} stands twice: send it once.", parameter=name)
        values[name] = text
    if "filters" in values:
        values["filters"] = _parsed(str(values["filters"]), "filters")
    if "rowIds" in values:
        values["rowIds"] = _split_row_ids(str(values["rowIds"]))
    for name in ("includeRowIds", "bom", "formulaGuard"):
        if name in values:
            values[name] = _BOOLEANS.get(str(values[name]), values[name])
    return values


def read_paging(values: Mapping[str, object]) -> Paging:
    """The page that a URL asks for. Raises InvalidRequest."""
    return Paging(
        page=_number(values, "page", 1, least=1, most=_MAX_PAGE),
        limit=_number(values, "limit", DEFAULT_LIMIT, least=0, most=MAX_LIMIT),
    )


def read_body(body: bytes, known: Sequence[str] = PARAMETERS) -> dict[str, object]:
    """The parameters of a POST body. Raises InvalidRequest."""
    values = parse_body(body)
    for name, value in values.items():
        _check_name(name, known)
        if value is None:
            # Most clients mean "left out"; some have lost their row ids, and must not get the whole run.
            raise InvalidRequest(f"{name} is null: leave it out, or send a value.", parameter=name)
    return values


def parse_body(body: bytes) -> dict[str, object]:
    """The JSON object that a body is; an empty one has no members. Raises InvalidRequest."""
    try:
        values = loads(body.decode()) if body.strip() else {}
    except ValueError as error:
        raise InvalidRequest(f"The body is {_reason(error)}.", parameter="body") from error
    if not isinstance(values, dict):
        raise InvalidRequest("The body is a JSON object with the names of the parameters.", parameter="body")
    return values


def make_request(workflow_id: str, values: Mapping[str, object]) -> ExportRequest:
    """The export request that these parameters spell; what is left out has its default. Raises InvalidRequest."""
    return ExportRequest(
        workflow=workflow_id,
        run=_text(values, "runId"),
        format=FORMATS[_choice(values, "format", FORMATS, "csv")],
        filters=read_filters(values.get("filters", [])),
        sort_by=_text(values, "sortBy"),
        descending=ORDERS[_choice(values, "order", ORDERS, "asc")],
        row_ids=read_row_ids(values["rowIds"]) if "rowIds" in values else None,
        include_row_ids=_flag(values, "includeRowIds"),
        csv=CsvOptions(
            bom=_flag(values, "bom"),
            delimiter=_choice(values, "delimiter", DELIMITERS, "comma"),
            formula_guard=_flag(values, "formulaGuard"),
        ),
    )


def _check_name(name: str, known: Sequence[str]) -> None:
    if name not in known:
        # Looking for what is near costs time and memory that grow with the name.
        near = get_close_matches(name, known, 1) if len(name) <= _LONGEST_MISSPELT else []
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
        raise InvalidRequest(f"There is no parameter {quoted_excerpt(name)}: {hint}", parameter=name[:100])


def _parsed(text: str, name: str) -> object:
    try:
        return loads(text)
    except ValueError as error:
        kind = InvalidFilter if name == "filters" else InvalidRequest
        raise kind(f"{name} is {_reason(error)}; send a URL-encoded JSON array.", parameter=name) from error


def _reason(error: ValueError) -> str:
    return "not UTF-8" if isinstance(error, UnicodeError) else str(error)


def _split_row_ids(text: str) -> object:
    if text.lstrip().startswith("["):
        return _parsed(text, "rowIds")
    return text.split(",") if text else []


def _number(values: Mapping[str, object], name: str, default: int, *, least: int, most: int) -> int:
    value = values.get(name, default)
    if isinstance(value, str) and re.fullmatch("[0-9]{1,16}", value, re.ASCII):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidRequest(f"{name} is a whole number from {least} to {most}.", parameter=name)
    return value


def _text(values: Mapping[str, object], name: str) -> str | None:
    value = values.get(name)
    if value is not None and (not isinstance(value, str) or (not value and name != "runId")):
        raise InvalidRequest(f"{name} is a non-empty string.", parameter=name)
    return value if isinstance(value, str) else None


def _choice(values: Mapping[str, object], name: str, known: Mapping[str, object], default: str) -> str:
    value = values.get(name, default)
    if not isinstance(value, str) or value not in known:
        raise InvalidRequest(f"{name} is one of {', '.join(known)}, in lower case.", parameter=name)
    return value


def _flag(values: Mapping[str, object], name: str) -> bool:
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} is true or false.", parameter=name)
    return value
