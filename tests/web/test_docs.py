"""The page at /docs: all that there is, nothing from elsewhere, and examples that run."""

import base64
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from engine.bootstrap import open_results
from engine.publishing.publisher import Publisher
from engine.request.operators import OPERATORS
from engine.settings import DuckDBSettings, StorageSettings
from tests.helpers.server import KEY, Answer, Server
from web.api.errors import error_codes
from web.cli.demo import TEAM, publish_sample
from web.openapi.document import make_document
from web.openapi.schemas import Json
from web.pages.docs.examples import EXAMPLES
from web.pages.docs.shapes import spelled

_PATH = re.compile(r"\{(\w+)\}")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with the beginning of what `make run` publishes, and a key of its team."""
    folder = tmp_path_factory.mktemp("demo")
    with Server((str(folder / "store"), {}), folder, TAILRACE_API_KEYS=f"{KEY}={TEAM}:publish") as server:
        publisher = Publisher(open_results(StorageSettings(results=f"{folder}/store/results")), DuckDBSettings())
        publish_sample(publisher, folder / "sample", 2_000)
        yield server


@pytest.fixture(scope="module")
def page(people: Server) -> str:
    answer = people.request("/docs")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return answer.body.decode()


def test_the_page_may_load_nothing_but_its_own_style_and_the_script_of_the_service(people: Server, page: str) -> None:
    directives = people.request("/docs").headers["content-security-policy"].split("; ")
    style = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    assert len(style) == 1
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert directives[:4] == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "script-src 'self'",
        "connect-src 'self'",
    ]
    assert re.findall(r"<script.*?</script>", page, re.DOTALL) == [
        '<script type="module" src="assets/operations.js"></script>'
    ]
    assert not re.findall(r"""\b(?:on\w+|style)=["']""", page)
    assert set(re.findall(r'\b(?:src|href)="([^"#]+)"', page)) == {
        "data:,",
        "./",
        "openapi.json",
        "openapi-3.0.json",
        "assets/operations.js",
    }
    assert "url(" not in style[0]
    assert "@import" not in style[0]


def test_every_link_within_the_page_leads_somewhere(page: str) -> None:
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(names)


def test_the_page_shows_everything_that_the_document_has(people: Server, page: str) -> None:
    document = make_document(people.base)
    wanted = {*OPERATORS, *document["components"]["schemas"]}
    wanted |= {code for codes in error_codes().values() for code in codes}
    for path, item in document["paths"].items():
        wanted |= {f"{method.upper()} {path}" for method in item if method != "parameters"}
        wanted |= {row["name"] for row in item.get("parameters", [])}
        for operation in item.values():
            if isinstance(operation, dict):
                wanted |= {row["name"] for row in operation["parameters"]} | set(operation["responses"])
    assert {text for text in wanted if f"<code>{text}</code>" not in page} == set()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("title", EXAMPLES)
def test_the_commands_run(demo: Server, tmp_path: Path, title: str) -> None:
    page = demo.request("/docs").body.decode()
    found = re.findall(r"<h3>([^<]*)</h3>\n<pre><code>(.*?)</code></pre>", page, re.DOTALL)
    commands = {html.unescape(name): html.unescape(text) for name, text in found}
    names = {"KEY": KEY, "URL": demo.export("sample-products").json()["url"]}
    done = subprocess.run(
        ["bash", "-c", commands[title]],
        cwd=tmp_path,
        env={**os.environ, **names, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "$URL" in commands[title]:
        assert (tmp_path / "sample-products-2026-11-01.csv").read_text().startswith('"sku","title",')
    else:
        assert '"exportId":' in done.stdout
        assert '"error"' not in done.stdout
        assert '"rowCount":0' not in done.stdout


class Examples:
    """Requests with the examples of the document."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._document = make_document(server.base)
        self._export_id = server.export("sample-products").json()["exportId"]

    def operations(self) -> list[tuple[str, str, Json]]:
        """Method, path and description of each operation; nothing is deleted."""
        return [
            (method, path, {**operation, "parameters": [*item.get("parameters", []), *operation["parameters"]]})
            for path, item in self._document["paths"].items()
            for method, operation in item.items()
            if method not in ("parameters", "delete")
        ]

    def send(self, method: str, path: str, operation: Json, *chosen: Json, body: Any = None, kind: str = "") -> Answer:
        """Send a request with what is required, and the chosen parameters."""
        values = {one["name"]: one.get("example") for one in operation["parameters"]} | {"exportId": self._export_id}
        there = _PATH.sub(lambda name: str(values[name[1]]), path)
        required = [one for one in operation["parameters"] if one["in"] == "query" and one.get("required")]
        query = urlencode({one["name"]: spelled(one["example"]) for one in [*required, *chosen]})
        content = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        headers = {"x-api-key": KEY, **({"content-type": kind} if kind else {})}
        return self._server.request(f"{there}?{query}" if query else there, method.upper(), headers, content)


def test_every_example_of_the_document_can_be_sent_to_the_demo(demo: Server) -> None:
    examples = Examples(demo)
    sent, wrong = 0, []
    for method, path, operation in examples.operations():
        given = [one for one in operation["parameters"] if one["in"] == "query" and "example" in one]
        bodies = [
            (kind, body)
            for kind, content in operation.get("requestBody", {}).get("content", {}).items()
            for body in [
                *(row["value"] for row in content.get("examples", {}).values()),
                *([content["example"]] if "example" in content else []),
            ]
        ]
        for kind, body in bodies or [("", None)]:
            # Publishing one run in several ways needs several runs.
            optional = [()] if operation["operationId"] == "publishRun" else [(), *((one,) for one in given)]
            for chosen in optional:
                answer = examples.send(method, path, operation, *chosen, body=body, kind=kind)
                sent += 1
                expected = (400,) if operation["operationId"] == "getTableChanges" else (200, 201)
                if answer.status not in expected:
                    wrong.append(
                        (operation["operationId"], [one["name"] for one in chosen], answer.status, answer.body)
                    )
    assert wrong == []
    assert sent > 60


def test_the_examples_of_publishing_fit_together(demo: Server) -> None:
    examples = Examples(demo)
    ((method, path, operation),) = [one for one in examples.operations() if one[2]["operationId"] == "publishRun"]
    given = [one for one in operation["parameters"] if one["in"] == "query" and "example" in one]
    content = operation["requestBody"]["content"]
    kind = "application/json"
    # The second time, the run is there with the same content.
    for status in (201, 200):
        answer = examples.send(method, path, operation, *given, body=content[kind]["example"], kind=kind)
        assert answer.status == status, answer.body
    described = answer.json()
    assert (described["workflowId"], described["runId"], described["rowCount"]) == ("my-products", "1", 2)
    for there in ("/v4/workflows/my-products/runs/1", "/v4/workflows/my-products"):
        assert demo.request(there, "DELETE", {"x-api-key": KEY}).status == 204


def test_every_operation_with_a_path_has_examples_of_it() -> None:
    document = make_document("http://127.0.0.1:8000")
    without = {
        one["name"]
        for item in document["paths"].values()
        for one in item.get("parameters", [])
        if one["in"] == "path" and "example" not in one
    }
    # The form fills in the last export that was made.
    assert without == {"exportId"}
