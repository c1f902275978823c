"""The operations that list what changed between runs."""

from collections.abc import Sequence

from engine.common.ids import ID
from web.api.changes import CHANGE_PARAMETERS, CHANGES_PARAMETERS
from web.api.parameters import DEFAULT_LIMIT, MAX_LIMIT
from web.openapi.parameters import REQUEST_ID, SAMPLE, SAMPLE_RUN, path_parameter
from web.openapi.responses import answer, errors
from web.openapi.schemas import KEY_OR_TOKEN, Json, ref

_VERSIONS = ("v5", "v4")
"""Of the public API; both paths are the same."""

_DATE: Json = {"type": "string", "format": "date-time"}
_PARAMETERS: dict[str, tuple[Json, str]] = {
    "workflowIds": (
        {"type": "string", "minLength": 1},
        "Workflows of the team, as `id1,id2`; by default, all",
    ),
    "startDate": (_DATE, "Only changes of runs that were executed at that time or later"),
    "endDate": (_DATE, "Only changes of runs that were executed at that time or earlier"),
    "skip": ({"type": "integer", "minimum": 0, "default": 0}, "How many changes to skip"),
    "limit": (
        {"type": "integer", "minimum": 0, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "Changes per page; with 0, only their number",
    ),
    "exclude": (
        {"type": "string", "minLength": 1},
        "Members to leave out of each change: `data`, `differences`, `differencesCounts`, `summary`",
    ),
}
_EXAMPLES: Json = {
    "workflowIds": SAMPLE,
    "startDate": "2026-10-15T00:00:00Z",
    "endDate": "2026-12-01T00:00:00Z",
    "exclude": "data,differences",
}
_CHANGE_ID = path_parameter(
    "changeId",
    "The `id` of the change, `{workflowId}:{runId}`",
    f"^{ID.pattern}:{ID.pattern}$",
    f"{SAMPLE}:{SAMPLE_RUN}",
)


def changes_paths() -> Json:
    """Describe their paths."""
    found: Json = {}
    for version in _VERSIONS:
        found[f"/{version}/changes"] = {"parameters": [], "get": _list(version)}
        found[f"/{version}/changes/{{changeId}}"] = {"parameters": [_CHANGE_ID], "get": _one(version)}
    return found


def _list(version: str) -> Json:
    return {
        "operationId": f"listChanges{version.upper()}",
        "summary": "List what changed between consecutive runs",
        "description": "Pairs of a run and the one before it, if both have a row-id field, with the numbers of rows "
        "that differ, and of changed rows by column: of the 100 runs that were published last, the newest first. "
        "`url` exports those rows.",
        "security": KEY_OR_TOKEN,
        "parameters": [
            *_query_parameters(CHANGES_PARAMETERS),
            REQUEST_ID,
        ],
        "responses": {"200": answer("A page of changes", schema=ref("ChangesAnswer"))}
        | errors(400, 401, 404, 405, 414, 500, 503),
    }


def _one(version: str) -> Json:
    return {
        "operationId": f"getChange{version.upper()}",
        "summary": "Get what changed between a run and the one before it",
        "description": "The numbers of rows that differ, and in `differences` the first of these rows with the fields "
        "that differ. With `exclude=differences` the runs are not compared again.",
        "security": KEY_OR_TOKEN,
        "parameters": [*_query_parameters(CHANGE_PARAMETERS), REQUEST_ID],
        "responses": {"200": answer("The change", schema=ref("ChangeAnswer"))}
        | errors(400, 401, 404, 405, 414, 500, 503),
    }


def _query_parameters(names: Sequence[str]) -> list[Json]:
    return [
        {"name": name, "in": "query", "required": False, "description": text, "schema": schema}
        | ({"example": _EXAMPLES[name]} if name in _EXAMPLES else {})
        for name, (schema, text) in ((name, _PARAMETERS[name]) for name in names)
    ]
