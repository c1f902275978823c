"""Every route has an access rule, and ids of another team get the same answer as ids that do not exist."""

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute

from tests.helpers.server import KEY, OTHER_KEY, OTHER_PUBLISH_KEY, Answer, Server
from tests.helpers.services import services_in
from tests.helpers.stores import any_store
from web.app import create_app_with
from web.auth.not_found_delay import STEP_SECONDS

PUBLIC = {
    "/", "/assets/{name:path}", "/healthz", "/readyz", "/metrics", "/openapi.json", "/openapi-3.0.json", "/docs"
}  # fmt: skip
"""Routes without credentials, which show no data of any team."""

OWN = {
    "/v4/workflows": ("GET",),
    "/v4/changes": ("GET",),
    "/v5/changes": ("GET",),
    "/mcp": ("POST",),
    "/delta-sharing/shares": ("GET",),
}
"""Routes that show each team only its own data."""

PUBLISHING = {
    "/v4/workflows/{workflow_id}/runs": ("POST",),
    "/v4/workflows/{workflow_id}/runs/{run_id}": ("DELETE",),
}
"""Routes that need a key which may publish, whatever ids the path has."""

FORBIDDEN = [*((path, method) for path, methods in PUBLISHING.items() for method in methods)]
FORBIDDEN.append(("/v4/workflows/{workflow_id}", "DELETE"))

OWNED = {
    "/v4/changes/{change_id}": ("GET",),
    "/v5/changes/{change_id}": ("GET",),
    "/v4/workflows/{workflow_id}": ("GET", "DELETE"),
    "/v4/workflows/{workflow_id}/history": ("GET",),
    "/v4/workflows/{workflow_id}/jobs/{run_id}": ("GET",),
    "/v4/workflows/{workflow_id}/data": ("GET", "POST"),
    "/v4/workflows/{workflow_id}/data/parquet": ("GET",),
    "/v4/workflows/{workflow_id}/data/column": ("GET", "POST"),
    "/v4/workflows/{workflow_id}/data/query": ("POST",),
    "/v4/workflows/{workflow_id}/data/query/export": ("POST",),
    "/v4/workflows/{workflow_id}/data/export": ("GET", "POST"),
    "/v4/workflows/{workflow_id}/data/exports": ("GET",),
    "/v4/workflows/{workflow_id}/data/exports/{export_id}": ("GET", "HEAD", "DELETE"),
    "/v4/workflows/{workflow_id}/data/exports/{export_id}/{file_name}": ("GET", "HEAD"),
    "/v4/workflows/{workflow_id}/data/exports/{export_id}/status": ("GET", "DELETE"),
    "/delta-sharing/shares/{share}": ("GET",),
    "/delta-sharing/shares/{share}/schemas": ("GET",),
    "/delta-sharing/shares/{share}/all-tables": ("GET",),
    "/delta-sharing/shares/{share}/schemas/{schema}/tables": ("GET",),
    "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}": ("HEAD",),
    "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/version": ("GET",),
    "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/metadata": ("GET",),
    "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/query": ("POST",),
    "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/changes": ("GET",),
}
"""Routes that belong to the team of the workflow, with their methods."""

ASKED = {
    "/v4/workflows/{workflow_id}/data/column": ("?field=name", b'{"field":"name"}'),
    "/v4/workflows/{workflow_id}/data/query": ("", b'{"sql":"FROM data"}'),
    "/v4/workflows/{workflow_id}/data/query/export": ("", b'{"sql":"FROM data"}'),
}
"""The query and body of a valid request, for routes that need parameters."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
READING = [(path, method) for path, methods in OWNED.items() for method in methods if (path, method) not in FORBIDDEN]


def _app(folder: Path) -> Starlette:
    services = services_in(folder)
    return create_app_with(services)


def _paths(app: Starlette) -> list[str]:
    """Return the paths of all routes. Other kinds of routes could have endpoints without a rule here."""
    others = [route for route in app.routes if type(route) is not Route]
    assert others == [], "the rules here cover plain routes only"
    return [route.path for route in app.routes if isinstance(route, Route)]


def test_every_route_has_a_rule(tmp_path: Path) -> None:
    assert sorted(_paths(_app(tmp_path))) == sorted({*PUBLIC, *OWN, *OWNED, *PUBLISHING}), (
        "add a rule for the new route here"
    )


@pytest.mark.parametrize(
    "route",
    [Mount("/v4/all", routes=[]), WebSocketRoute("/v4/live", lambda _: None), Host("x", Router())],
    ids=["mount", "socket", "host"],
)
def test_only_plain_routes_are_allowed(tmp_path: Path, route: BaseRoute) -> None:
    app = _app(tmp_path)
    app.router.routes.append(route)
    with pytest.raises(AssertionError, match="plain routes only"):
        _paths(app)


@pytest.fixture(scope="module")
def server(people_on: Server) -> Server:
    """A service where the team of `KEY` has the workflows of `publish_people`, and another team has one workflow.

    The first team has another one, with a change between two runs.
    """
    source = people_on.folder / "people.json"
    people_on.publish("--workflow", "theirs", "--run", "own", str(source), team="rival")
    for run in ("r1", "r2"):
        people_on.publish("--workflow", "watched", "--run", run, "--row-id", "name", str(source))
    return people_on


@pytest.fixture(scope="module")
def ids(server: Server) -> dict[str, str]:
    """Existing ids, which belong to the team of `KEY`."""
    export_id = server.export("people").json()["exportId"]
    names = {"share": "acme", "schema": "default", "table": "people", "change_id": "watched:r2"}
    return {"workflow_id": "people", "run_id": "r1", "export_id": export_id, "file_name": "people-r1.csv", **names}


UNKNOWN = {
    "workflow_id": "nobody",
    "run_id": "never",
    "change_id": "nobody:never",
    "export_id": "00000000-0000-0000-0000-000000000000",
    "file_name": "x.json",
    "share": "nobody",
    "schema": "none",
    "table": "never",
}
_VARYING = {"x-request-id", "date", "server"}


def seen(answer: Answer) -> tuple[int, dict[str, str], Any]:
    """Return what a caller can see of an answer, except what differs from request to request."""
    headers = {name: value for name, value in answer.headers.items() if name not in _VARYING}
    body = re.sub(rb'"requestId":"[^"]*"', b"", answer.body)
    return answer.status, headers, body


def asked(path: str, method: str) -> tuple[str, bytes | None]:
    """Return the query and the body of a request that is valid for the owner."""
    query, body = ASKED.get(path, ("", b"{}"))
    return (query, None) if method != "POST" else ("", body)


def test_a_list_shows_only_the_workflows_of_the_team(server: Server) -> None:
    lists = {key: server.request("/v4/workflows", headers={"x-api-key": key}).json() for key in (KEY, OTHER_KEY)}
    assert [row["workflowId"] for row in lists[KEY]["workflows"]] == ["people", "unfinished", "watched"]
    assert [row["workflowId"] for row in lists[OTHER_KEY]["workflows"]] == ["theirs"]
    assert lists[OTHER_KEY]["pagination"] == {"totalCount": 1, "page": 1, "totalPages": 1, "limit": 25}
    changes = {key: server.request("/v5/changes", headers={"x-api-key": key}).json() for key in (KEY, OTHER_KEY)}
    assert [row["id"] for row in changes[KEY]["changes"]] == ["watched:r2"]
    assert changes[OTHER_KEY]["changes"] == []


@pytest.mark.parametrize(("path", "method"), READING)
def test_ids_of_another_team_look_unknown(server: Server, ids: dict[str, str], path: str, method: str) -> None:
    """For each id in the path, existing or not."""
    # The owner's DELETE of an earlier case may have deleted the export.
    ids = {**ids, "export_id": server.export("people").json()["exportId"]}
    headers = {"x-api-key": OTHER_KEY}
    query, body = asked(path, method)
    names = re.findall(r"{(\w+)}", path)
    there = seen(server.request(path.format(**ids) + query, method, headers, body))
    for name in names:
        other = path.format(**{**ids, name: UNKNOWN[name]}) + query
        began = time.monotonic()
        assert there == seen(server.request(other, method, headers, body))
        # In whole steps: the time of a look would tell what was found.
        assert time.monotonic() - began >= STEP_SECONDS
    assert there[0] == 404
    # The owner is told the difference: the routes do answer.
    owned = server.request(path.format(**ids) + query, method, {"x-api-key": KEY}, body).status
    assert owned in ((400,) if path.endswith("/changes") else (200, 204, 409))


@any_store
def test_methods_that_a_route_does_not_have_get_the_same_answer_for_every_id(
    server: Server, ids: dict[str, str]
) -> None:
    for path, methods in OWNED.items():
        for method in set(METHODS) - set(methods):
            body = asked(path, method)[1]
            some = [
                seen(server.request(path.format(**names), method, {"x-api-key": OTHER_KEY}, body))
                for names in (ids, UNKNOWN)
            ]
            assert some[0] == some[1], (path, method)
            assert some[0][0] == 405, (path, method)


@any_store
@pytest.mark.parametrize(("path", "method"), FORBIDDEN)
def test_read_only_keys_get_the_same_answer_for_every_id(
    server: Server, ids: dict[str, str], path: str, method: str
) -> None:
    """For workflows of the own team, of another team, and unknown ones: not even a conflict is revealed."""
    answers = [
        seen(server.request(path.format(**some), method, {"x-api-key": key}, b"{}" if method == "POST" else None))
        for key in (KEY, OTHER_KEY)
        for some in (ids, UNKNOWN)
    ]
    assert answers[0][0] == 403
    assert answers[1:] == answers[:-1]


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method in FORBIDDEN if method == "DELETE"])
def test_runs_of_another_team_cannot_be_deleted_and_look_unknown(
    server: Server, ids: dict[str, str], path: str, method: str
) -> None:
    headers = {"x-api-key": OTHER_PUBLISH_KEY}
    there, unknown = (seen(server.request(path.format(**some), method, headers)) for some in (ids, UNKNOWN))
    assert there == unknown
    assert there[0] == 404
    own = server.request(path.format(**{**ids, "workflow_id": "theirs"}), method, headers)
    assert own.status == (404 if "run_id" in path else 204), "of an own workflow, that run is unknown as well"
    if own.status == 204:
        source = server.folder / "people.json"
        server.publish("--workflow", "theirs", "--run", "own", str(source), team="rival")
    assert server.export("people").status == 200


@any_store
@pytest.mark.parametrize("path", [*OWN, *OWNED, *PUBLISHING])
def test_without_credentials_nothing_is_revealed(server: Server, ids: dict[str, str], path: str) -> None:
    for method in METHODS:
        query, body = asked(path, method)
        for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"x-api-key": ""}):
            answers = [
                seen(server.request(path.format(**some) + query, method, headers, body)) for some in (ids, UNKNOWN)
            ]
            assert answers[0] == answers[1], (method, headers)
            assert answers[0][0] == (401 if method in {**OWN, **OWNED, **PUBLISHING}[path] else 405), (method, headers)


@pytest.mark.parametrize("path", [path for path in OWNED if "{export_id}" in path])
def test_exports_of_another_team_are_not_found_under_an_own_workflow(
    server: Server, ids: dict[str, str], path: str
) -> None:
    for method in OWNED[path]:
        there, unknown = (
            seen(server.request(path.format(**named), method, {"x-api-key": OTHER_KEY}))
            for export_id in (ids["export_id"], UNKNOWN["export_id"])
            for named in [{**ids, "workflow_id": "theirs", "export_id": export_id}]
        )
        assert there == unknown, method
        assert there[0] == 404, method


CHOOSING = {
    "/v4/workflows/{workflow_id}/data": ("runId", "rowIds", "sortBy"),
    "/v4/workflows/{workflow_id}/data/parquet": ("runId",),
    "/v4/workflows/{workflow_id}/data/column": ("runId", "rowIds"),
    "/v4/workflows/{workflow_id}/data/query": ("runId", "previous"),
    "/v4/workflows/{workflow_id}/data/query/export": ("runId", "previous"),
    "/v4/workflows/{workflow_id}/data/export": ("runId", "rowIds", "sortBy"),
}
"""Parameters that refer to data of a workflow."""

CHOICES = [(path, method, name) for path, names in CHOOSING.items() for method in OWNED[path] for name in names]


def chosen(server: Server, workflow: str, path: str, method: str, **parameters: Any) -> Answer:
    """Send a request as the other team, with the parameters that the route requires."""
    query, body = asked(path, method)
    headers = {"x-api-key": OTHER_KEY}
    if body is not None:
        given: dict[str, Any] = json.loads(body) | parameters
        return server.request(path.format(workflow_id=workflow), method, headers, json.dumps(given).encode())
    query = f"{query or '?'}&{urlencode(parameters)}".replace("?&", "?")
    return server.request(path.format(workflow_id=workflow) + query, method, headers)


@any_store
@pytest.mark.parametrize(("path", "method", "parameter"), CHOICES)
def test_parameters_reveal_nothing_about_a_run_of_another_team(
    server: Server, path: str, method: str, parameter: str
) -> None:
    there = {"runId": "r1", "previous": "r1", "rowIds": "000000000000", "sortBy": "name"}[parameter]
    values: list[Any] = [[there], ["nothing"]] if (parameter, method) == ("rowIds", "POST") else [there, "nothing"]
    answers = [seen(chosen(server, "people", path, method, **{parameter: value})) for value in values]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


@any_store
@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method, name in CHOICES if name == "runId"])
def test_a_run_of_another_team_is_not_found_under_an_own_workflow(server: Server, path: str, method: str) -> None:
    answers = [seen(chosen(server, "theirs", path, method, runId=run)) for run in ("r1", "r2", "nothing")]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 404
    assert chosen(server, "theirs", path, method, runId="own").status == 200
