"""Every route has a rule, and no rule tells a stranger what is there: another team's ids are as unknown ones."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from engine.settings import DuckDBSettings, StorageSettings
from tests.helpers.server import KEY, OTHER_KEY, Answer, Server
from tests.web.conftest import publish_people
from web.app import create_app_with
from web.services import make_services
from web.settings import AdmissionSettings, AuthSettings, QuerySettings, ServerSettings, SigningSettings

PUBLIC = {
    "/", "/assets/{name}", "/healthz", "/readyz", "/metrics", "/openapi.json", "/openapi-3.0.json", "/docs"
}  # fmt: skip
"""What anyone may see: nothing of any team is in it."""

OWN = {"/v4/workflows": ("GET",), "/mcp": ("POST",)}
"""What shows each team its own alone."""

OWNED = {
    "/v4/workflows/{workflow_id}": ("GET",),
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


def _routes(folder: Path) -> list[str]:
    services = make_services(
        StorageSettings(results=str(folder / "r"), exports=str(folder / "e")),
        DuckDBSettings(spill_directory=folder / "s"),
        ServerSettings(),
        AuthSettings(api_keys="a-key=team"),
        SigningSettings(signing_keys="k1=0123456789abcdef0123456789abcdef"),
        AdmissionSettings(),
        QuerySettings(),
    )
    return [route.path for route in create_app_with(services).routes if isinstance(route, Route)]


def test_every_route_has_a_rule(tmp_path: Path) -> None:
    routes = _routes(tmp_path)
    assert sorted(routes) == sorted({*PUBLIC, *OWN, *OWNED}), "give the new route a rule here"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("access")
    with Server((str(folder / "store"), {}), folder) as server:
        publish_people(server, folder)
        yield server


@pytest.fixture(scope="module")
def ids(server: Server) -> dict[str, str]:
    """Ids that are there, and belong to the team of `KEY`."""
    return {"workflow_id": "people", "export_id": server.export("people").json()["exportId"]}


UNKNOWN = {"workflow_id": "nobody", "export_id": "00000000-0000-0000-0000-000000000000"}
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
    assert lists[OTHER_KEY] == {
        "workflows": [], "pagination": {"totalCount": 0, "page": 1, "totalPages": 0, "limit": 25}
    }  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", OWNED)
def test_another_teams_ids_are_as_unknown_ones(server: Server, ids: dict[str, str], path: str, method: str) -> None:
    """For each place in the path: what is there looks like what is not."""
    headers = {"x-api-key": OTHER_KEY}
    query, body = asked(path, method)
    names = re.findall(r"{(\w+)}", path)
    there = seen(server.request(path.format(**ids) + query, method, headers, body))
    for name in names:
        other = path.format(**{**ids, name: UNKNOWN[name]}) + query
        assert there == seen(server.request(other, method, headers, body))
    assert there[0] == (404 if method in OWNED[path] else 405)
    # The owner is told the difference: the routes do answer.
    if method in OWNED[path]:
        assert server.request(path.format(**ids) + query, method, {"x-api-key": KEY}, body).status in (200, 202)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", [*OWN, *OWNED])
def test_without_credentials_nothing_is_told(server: Server, ids: dict[str, str], path: str, method: str) -> None:
    query, body = asked(path, method)
    for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"x-api-key": ""}):
        answers = [seen(server.request(path.format(**some) + query, method, headers, body)) for some in (ids, UNKNOWN)]
        assert answers[0] == answers[1]
        assert answers[0][0] == (401 if method in {**OWN, **OWNED}[path] else 405)


@pytest.mark.parametrize("parameter", ["runId", "rowIds", "sortBy"])
def test_parameters_of_another_teams_run_tell_nothing(server: Server, parameter: str) -> None:
    there = {"runId": "r1", "rowIds": "000000000000", "sortBy": "name"}[parameter]
    answers = [
        seen(server.request(f"/v4/workflows/people/data/export?{parameter}={value}", headers={"x-api-key": OTHER_KEY}))
        for value in (there, "nothing")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
