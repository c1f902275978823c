"""Every route has a rule, and no rule tells a stranger what is there: another team's ids are as unknown ones."""

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
from web.app import create_app_with
from web.auth.not_found_delay import STEP_SECONDS

PUBLIC = {
    "/", "/assets/{name}", "/healthz", "/readyz", "/metrics", "/openapi.json", "/openapi-3.0.json", "/docs"
}  # fmt: skip
"""What anyone may see: nothing of any team is in it."""

OWN = {"/v4/workflows": ("GET",), "/mcp": ("POST",)}
"""What shows each team its own alone."""

PUBLISHING = {
    "/v4/workflows/{workflow_id}/runs": ("POST",),
    "/v4/workflows/{workflow_id}/runs/{run_id}": ("DELETE",),
}
"""What only keys that may publish are answered, whatever the path names."""

FORBIDDEN = [*((path, method) for path, methods in PUBLISHING.items() for method in methods)]
FORBIDDEN.append(("/v4/workflows/{workflow_id}", "DELETE"))

OWNED = {
    "/v4/workflows/{workflow_id}": ("GET", "DELETE"),
    "/v4/workflows/{workflow_id}/data": ("GET",),
    "/v4/workflows/{workflow_id}/data/column": ("GET",),
    "/v4/workflows/{workflow_id}/data/query": ("POST",),
    "/v4/workflows/{workflow_id}/data/export": ("GET", "POST"),
    "/v4/workflows/{workflow_id}/data/exports/{export_id}": ("GET", "HEAD"),
    "/v4/workflows/{workflow_id}/data/exports/{export_id}/status": ("GET", "DELETE"),
}
"""What belongs to the team of the workflow, with the methods that are answered."""

ASKED = {
    "/v4/workflows/{workflow_id}/data/column": ("?field=name", b"{}"),
    "/v4/workflows/{workflow_id}/data/query": ("", b'{"sql":"FROM data"}'),
}
"""A right request, where one without parameters is none: query and body."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def _app(folder: Path) -> Starlette:
    services = services_in(folder)
    return create_app_with(services)


def _paths(app: Starlette) -> list[str]:
    """The paths of all routes. Another kind than these could answer what no rule here is about."""
    others = [route for route in app.routes if type(route) is not Route]
    assert others == [], "the rules here are about plain routes alone"
    return [route.path for route in app.routes if isinstance(route, Route)]


def test_every_route_has_a_rule(tmp_path: Path) -> None:
    assert sorted(_paths(_app(tmp_path))) == sorted({*PUBLIC, *OWN, *OWNED, *PUBLISHING}), (
        "give the new route a rule here"
    )


@pytest.mark.parametrize(
    "route",
    [Mount("/v4/all", routes=[]), WebSocketRoute("/v4/live", lambda _: None), Host("x", Router())],
    ids=["mount", "socket", "host"],
)
def test_no_route_of_another_kind_is_unseen(tmp_path: Path, route: BaseRoute) -> None:
    app = _app(tmp_path)
    app.router.routes.append(route)
    with pytest.raises(AssertionError, match="plain routes alone"):
        _paths(app)


@pytest.fixture(scope="module")
def server(people_on: Server) -> Server:
    """The team of `KEY` has what `publish_people` makes, the other team a workflow of its own."""
    source = people_on.folder / "people.json"
    people_on.publish("--workflow", "theirs", "--run", "own", str(source), team="rival")
    return people_on


@pytest.fixture(scope="module")
def ids(server: Server) -> dict[str, str]:
    """Ids that are there, and belong to the team of `KEY`."""
    return {"workflow_id": "people", "run_id": "r1", "export_id": server.export("people").json()["exportId"]}


UNKNOWN = {"workflow_id": "nobody", "run_id": "never", "export_id": "00000000-0000-0000-0000-000000000000"}
_VARYING = {"x-request-id", "date", "server"}


def seen(answer: Answer) -> tuple[int, dict[str, str], Any]:
    """What a stranger can tell of an answer, less what differs from request to request."""
    headers = {name: value for name, value in answer.headers.items() if name not in _VARYING}
    body = re.sub(rb'"requestId":"[^"]*"', b"", answer.body)
    return answer.status, headers, body


def asked(path: str, method: str) -> tuple[str, bytes | None]:
    """The query and the body of a request that the owner gets an answer to."""
    query, body = ASKED.get(path, ("", b"{}"))
    return (query, None) if method != "POST" else ("", body)


def test_a_list_shows_each_team_its_own(server: Server) -> None:
    lists = {key: server.request("/v4/workflows", headers={"x-api-key": key}).json() for key in (KEY, OTHER_KEY)}
    assert [row["workflowId"] for row in lists[KEY]["workflows"]] == ["people", "unfinished"]
    assert [row["workflowId"] for row in lists[OTHER_KEY]["workflows"]] == ["theirs"]
    assert lists[OTHER_KEY]["pagination"] == {"totalCount": 1, "page": 1, "totalPages": 1, "limit": 25}


READING = [(path, method) for path in OWNED for method in METHODS if (path, method) not in FORBIDDEN]


@pytest.mark.parametrize(("path", "method"), READING)
def test_another_teams_ids_are_as_unknown_ones(server: Server, ids: dict[str, str], path: str, method: str) -> None:
    """For each place in the path: what is there looks like what is not."""
    headers = {"x-api-key": OTHER_KEY}
    query, body = asked(path, method)
    names = re.findall(r"{(\w+)}", path)
    there = seen(server.request(path.format(**ids) + query, method, headers, body))
    for name in names:
        other = path.format(**{**ids, name: UNKNOWN[name]}) + query
        began = time.monotonic()
        assert there == seen(server.request(other, method, headers, body))
        # In whole steps: the time of a look would tell what was found.
        assert there[0] == 405 or time.monotonic() - began >= STEP_SECONDS
    assert there[0] == (404 if method in OWNED[path] else 405)
    # The owner is told the difference: the routes do answer.
    if method in OWNED[path]:
        assert server.request(path.format(**ids) + query, method, {"x-api-key": KEY}, body).status in (200, 202)


@pytest.mark.parametrize(("path", "method"), FORBIDDEN)
def test_keys_that_only_read_are_told_the_same_of_everything(
    server: Server, ids: dict[str, str], path: str, method: str
) -> None:
    """Of an own workflow, another team's, and one that is not there: not even that there is a conflict."""
    answers = [
        seen(server.request(path.format(**some), method, {"x-api-key": key}, b"{}" if method == "POST" else None))
        for key in (KEY, OTHER_KEY)
        for some in (ids, UNKNOWN)
    ]
    assert answers[0][0] == 403
    assert answers[1:] == answers[:-1]


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method in FORBIDDEN if method == "DELETE"])
def test_another_teams_runs_cannot_be_deleted_and_are_as_unknown_ones(
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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", [*OWN, *OWNED, *PUBLISHING])
def test_without_credentials_nothing_is_told(server: Server, ids: dict[str, str], path: str, method: str) -> None:
    query, body = asked(path, method)
    for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"x-api-key": ""}):
        answers = [seen(server.request(path.format(**some) + query, method, headers, body)) for some in (ids, UNKNOWN)]
        assert answers[0] == answers[1]
        assert answers[0][0] == (401 if method in {**OWN, **OWNED, **PUBLISHING}[path] else 405)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", [path for path in OWNED if "{export_id}" in path])
def test_another_teams_exports_are_not_below_an_own_workflow(
    server: Server, ids: dict[str, str], path: str, method: str
) -> None:
    headers = {"x-api-key": OTHER_KEY}
    there, unknown = (
        seen(server.request(path.format(workflow_id="theirs", export_id=export_id), method, headers))
        for export_id in (ids["export_id"], UNKNOWN["export_id"])
    )
    assert there == unknown
    assert there[0] == (404 if method in OWNED[path] else 405)


CHOOSING = {
    "/v4/workflows/{workflow_id}/data": ("runId", "rowIds", "sortBy"),
    "/v4/workflows/{workflow_id}/data/column": ("runId", "rowIds"),
    "/v4/workflows/{workflow_id}/data/query": ("runId",),
    "/v4/workflows/{workflow_id}/data/export": ("runId", "rowIds", "sortBy"),
}
"""What names something within a workflow."""

CHOICES = [(path, method, name) for path, names in CHOOSING.items() for method in OWNED[path] for name in names]


def chosen(server: Server, workflow: str, path: str, method: str, **parameters: Any) -> Answer:
    """Ask as the other team, with what the route needs anyway."""
    query, body = asked(path, method)
    headers = {"x-api-key": OTHER_KEY}
    if body is not None:
        given: dict[str, Any] = json.loads(body) | parameters
        return server.request(path.format(workflow_id=workflow), method, headers, json.dumps(given).encode())
    query = f"{query or '?'}&{urlencode(parameters)}".replace("?&", "?")
    return server.request(path.format(workflow_id=workflow) + query, method, headers)


@pytest.mark.parametrize(("path", "method", "parameter"), CHOICES)
def test_parameters_of_another_teams_run_tell_nothing(server: Server, path: str, method: str, parameter: str) -> None:
    there = {"runId": "r1", "rowIds": "000000000000", "sortBy": "name"}[parameter]
    values: list[Any] = [[there], ["nothing"]] if (parameter, method) == ("rowIds", "POST") else [there, "nothing"]
    answers = [seen(chosen(server, "people", path, method, **{parameter: value})) for value in values]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method, name in CHOICES if name == "runId"])
def test_another_teams_run_is_none_of_an_own_workflow(server: Server, path: str, method: str) -> None:
    answers = [seen(chosen(server, "theirs", path, method, runId=run)) for run in ("r1", "r2", "nothing")]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 404
    assert chosen(server, "theirs", path, method, runId="own").status == 200
