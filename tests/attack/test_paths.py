"""Paths in place of ids, for every route with ids and on both kinds of store: none is found."""

import re
from urllib.parse import quote

import pytest

from tests.attack.payloads import PATHS
from tests.attack.test_injection import refused
from tests.helpers.server import KEY, PUBLISH_KEY, Server
from tests.helpers.stores import any_store, on_azure
from tests.web.test_access import ASKED, CHOOSING, FORBIDDEN, OWNED, PUBLISHING, UNKNOWN

THERE = {**UNKNOWN, "workflow_id": "people"}
# To publish under a name that is a valid id is no attack.
ROUTES = {**OWNED, **{path: methods for path, methods in PUBLISHING.items() if methods == ("DELETE",)}}
PLACES = [(path, method, place) for path, methods in ROUTES.items() for method in methods if method != "HEAD"
          for place in re.findall(r"{(\w+)}", path)]  # fmt: skip
ONE_OF_EACH_PLACE = {place: (path, method, place) for path, method, place in PLACES}.values()


@any_store
@pytest.mark.parametrize(("path", "method", "place"), PLACES)
def test_a_path_as_an_id_is_not_found(people_on: Server, path: str, method: str, place: str) -> None:
    check(people_on, path, method, place)


@on_azure
@pytest.mark.parametrize(("path", "method", "place"), ONE_OF_EACH_PLACE)
def test_a_path_as_an_id_is_not_found_on_azure(people_on: Server, path: str, method: str, place: str) -> None:
    check(people_on, path, method, place)


def check(server: Server, path: str, method: str, place: str) -> None:
    """Ask for every hostile path in one place of a route."""
    query, body = ASKED.get(path, ("", b"{}"))
    # A key that may only read is refused before the path is looked at.
    key = PUBLISH_KEY if (path, method) in FORBIDDEN else KEY
    for text in PATHS:
        target = path.format(**{**THERE, place: text}) + ("" if method == "POST" else query)
        answer = server.request(
            quote(target, safe="/?=%:;*~\\"), method, {"x-api-key": key}, body if method == "POST" else None
        )
        assert "set-cookie" not in answer.headers
        # An id and a slash are the path of a file, which has other methods than its export.
        known = method == "DELETE" and place == "export_id" and text.count("/") == 1
        refused(answer, text, 400, 404, *([405] if known else []))


@any_store
@pytest.mark.parametrize("path", [path for path in CHOOSING if "GET" in OWNED[path]])
def test_a_path_as_a_run_id_is_not_found(people_on: Server, path: str) -> None:
    for text in PATHS:
        query = f"{ASKED.get(path, ('?', b''))[0]}&runId={quote(text, safe='%')}".replace("?&", "?")
        answer = people_on.request(path.format(**THERE) + query, headers={"x-api-key": KEY})
        assert "set-cookie" not in answer.headers
        refused(answer, text, 400, 404)
