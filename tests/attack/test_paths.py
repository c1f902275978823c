"""Paths in place of ids, for every route with ids and on both kinds of store: none is found."""

import re
from urllib.parse import quote

import pytest

from tests.attack.payloads import PATHS
from tests.attack.test_injection import refused
from tests.helpers.server import KEY, PUBLISH_KEY, Server
from tests.web.test_access import ASKED, CHOOSING, FORBIDDEN, OWNED, PUBLISHING, UNKNOWN

THERE = {**UNKNOWN, "workflow_id": "people"}
# To publish under a name that is a valid id is no attack.
ROUTES = {**OWNED, **{path: methods for path, methods in PUBLISHING.items() if methods == ("DELETE",)}}
PLACES = [(path, method, place) for path, methods in ROUTES.items() for method in methods if method != "HEAD"
          for place in re.findall(r"{(\w+)}", path)]  # fmt: skip


@pytest.mark.parametrize(("path", "method", "place"), PLACES)
def test_a_path_as_an_id_is_not_found(people_on: Server, path: str, method: str, place: str) -> None:
    query, body = ASKED.get(path, ("", b"{}"))
    # A key that may only read is refused before the path is looked at.
    key = PUBLISH_KEY if (path, method) in FORBIDDEN else KEY
    for text in PATHS:
        target = path.format(**{**THERE, place: text}) + ("" if method == "POST" else query)
        answer = people_on.request(
            quote(target, safe="/?=%:;*~\\"), method, {"x-api-key": key}, body if method == "POST" else None
        )
        assert "set-cookie" not in answer.headers
        # An id and a slash are the path of a file, which has other methods than its export.
        known = method == "DELETE" and place == "export_id" and text.count("/") == 1
        refused(answer, text, 400, 404, *([405] if known else []))


@pytest.mark.parametrize("path", [path for path in CHOOSING if "GET" in OWNED[path]])
def test_a_path_as_a_run_id_is_not_found(people_on: Server, path: str) -> None:
    for text in PATHS:
        query = f"{ASKED.get(path, ('?', b''))[0]}&runId={quote(text, safe='%')}".replace("?&", "?")
        answer = people_on.request(path.format(**THERE) + query, headers={"x-api-key": KEY})
        assert "set-cookie" not in answer.headers
        refused(answer, text, 400, 404)
