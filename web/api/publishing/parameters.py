"""Reads the URL and the headers of ``POST .../runs``."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from engine.catalog.manifest import State
from engine.common.strict_json import loads
from engine.errors import InvalidRequest
from engine.publishing.options import ReadOptions

CONTENT_TYPES = {
    "text/csv": ".csv",
    "application/json": ".json",
    "application/x-ndjson": ".ndjson",
    "application/ndjson": ".ndjson",
    "application/jsonl": ".ndjson",
    "application/vnd.apache.parquet": ".parquet",
}
"""The media types of bodies, and the file name extension of each."""

PUBLISH_PARAMETERS = (
    "runId",
    "name",
    "executedAt",
    "state",
    "rowId",
    "schema",
    "delimiter",
    "encoding",
    "skipLines",
    "escape",
    "padShortRows",
    "rename",
    "renameDuplicates",
    "null",
    "types",
    "jsonPath",
)
"""The options of `tailrace publish`, as URL parameters."""

_ChoiceT = TypeVar("_ChoiceT")
_OPTION = re.compile("--([a-z-]+)")
_IN_REQUESTS = {
    re.sub("[A-Z]", lambda capital: f"-{capital[0].lower()}", name): f"the parameter {name}"
    for name in PUBLISH_PARAMETERS
} | {"format": "the Content-Type"}
"""What says the same in a request, by the options of `tailrace publish` without their dashes."""
_STATES = {str(state): state for state in State}
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """A request to publish. ``schema`` is the text of a schema file, ``extension`` that of a file like the body."""

    extension: str
    gzip: bool
    run: str | None
    name: str | None
    executed_at: datetime | None
    state: State
    row_id: str | None
    schema: str | None
    options: ReadOptions
    canonical: str
    """Everything that determines the content of the run except the body."""

    def content_sha256(self, body_sha256: str) -> str:
        """Hash the content of the run; repeated requests have the same hash."""
        return hashlib.sha256(f"{body_sha256}\n{self.canonical}".encode()).hexdigest()


def make_publish_request(headers: Headers, values: Mapping[str, object]) -> PublishRequest:
    """Read the headers and the parameters of the URL. Raises InvalidRequest, or HTTPException 415."""
    extension = _extension(headers)
    texts = _charset(headers) | {name: str(value) for name, value in values.items()}
    for name, text in texts.items():
        if not text and name != "null":
            raise InvalidRequest(f"{name} is empty: leave it out, or send a value.", parameter=name)
    return PublishRequest(
        extension=extension,
        gzip=_is_gzip(headers),
        run=texts.get("runId"),
        name=texts.get("name"),
        executed_at=_moment(texts),
        state=_choice(texts, "state", _STATES, State.FINISHED),
        row_id=texts.get("rowId"),
        schema=_json_text(texts),
        options=_options(texts),
        canonical=json.dumps([extension, {**texts, "runId": None}], sort_keys=True),
    )


def name_parameters(message: str) -> str:
    """Say what in a request the options of `tailrace publish` are that a message advises."""
    named = dict.fromkeys(found[1] for found in _OPTION.finditer(message))
    known = [f"--{option} is {_IN_REQUESTS[option]}" for option in named if option in _IN_REQUESTS]
    return f"{message} Over HTTP, {', '.join(known)}." if known else message


def _charset(headers: Headers) -> dict[str, str]:
    """The encoding that the Content-Type states, as the parameter; without UTF-8, which is the default."""
    header = Message()
    header["content-type"] = headers.get("content-type", "")
    charset = header.get_content_charset("utf-8")
    return {} if charset in ("utf-8", "utf8") else {"encoding": charset}


def _extension(headers: Headers) -> str:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in CONTENT_TYPES:
        raise HTTPException(415, f"Content-Type must be one of {', '.join(CONTENT_TYPES)}")
    return CONTENT_TYPES[kind]


def _is_gzip(headers: Headers) -> bool:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise HTTPException(415, "Content-Encoding must be gzip, or left out")
    return encoding == "gzip"


def _moment(texts: Mapping[str, str]) -> datetime | None:
    text = texts.get("executedAt")
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(
            "executedAt must be an ISO 8601 time such as 2026-11-23T10:00:00Z.", parameter="executedAt"
        ) from error


def _json_text(texts: Mapping[str, str]) -> str | None:
    if "schema" in texts:
        _json(texts, "schema", "the content of a schema file")
    return texts.get("schema")


def _options(texts: Mapping[str, str]) -> ReadOptions:
    default = ReadOptions()
    return ReadOptions(
        delimiter=_character(texts, "delimiter", default.delimiter),
        encoding=texts.get("encoding"),
        skip_lines=_skipped(texts, default.skip_lines),
        escape=_character(texts, "escape", default.escape) or default.escape,
        pad_short_rows=_choice(texts, "padShortRows", _BOOLEANS, default.pad_short_rows),
        rename=_renamed(texts),
        rename_duplicates=_choice(texts, "renameDuplicates", _BOOLEANS, default.rename_duplicates),
        null=texts.get("null"),
        types="text" if _choice(texts, "types", {"auto": False, "text": True}, default.types == "text") else "auto",
        json_path=texts.get("jsonPath"),
    )


def _choice(texts: Mapping[str, str], name: str, known: Mapping[str, _ChoiceT], default: _ChoiceT) -> _ChoiceT:
    if name not in texts:
        return default
    if texts[name] not in known:
        raise InvalidRequest(f"{name} must be one of {', '.join(known)}.", parameter=name)
    return known[texts[name]]


def _character(texts: Mapping[str, str], name: str, default: str | None) -> str | None:
    text = texts.get(name, default)
    if text is not None and len(text) != 1:
        raise InvalidRequest(f"{name} must be one character.", parameter=name)
    return text


def _skipped(texts: Mapping[str, str], default: int) -> int:
    text = texts.get("skipLines", str(default))
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        raise InvalidRequest("skipLines must be an integer, 0 or more.", parameter="skipLines")
    return int(text)


def _renamed(texts: Mapping[str, str]) -> Mapping[str, str]:
    if "rename" not in texts:
        return {}
    names = _json(texts, "rename", 'an object of new names by old ones, as {"old": "new"}')
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise InvalidRequest('rename must be a JSON object such as {"old": "new"}.', parameter="rename")
    return names


def _json(texts: Mapping[str, str], name: str, what: str) -> object:
    try:
        return loads(texts[name])
    except ValueError as error:
        raise InvalidRequest(f"{name} must be URL-encoded JSON: {what}.", parameter=name) from error
