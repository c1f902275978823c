"""The page at /docs: all that there is, nothing from elsewhere, and examples that run."""

import base64
import hashlib
import html
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.request.operators import OPERATORS
from tests.helpers.server import KEY, Server
from web.api.errors import error_codes
from web.openapi.document import make_document
from web.pages.docs.examples import EXAMPLES


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
def test_the_examples_run(people: Server, page: str, tmp_path: Path, title: str) -> None:
    found = re.findall(r"<h3>([^<]*)</h3>\n<pre><code>(.*?)</code></pre>", page, re.DOTALL)
    commands = {html.unescape(name): html.unescape(text) for name, text in found}
    names = {"KEY": KEY, "WORKFLOW": "people", "URL": people.export("people").json()["url"]}
    done = subprocess.run(
        ["bash", "-c", commands[title]],
        cwd=tmp_path,
        env={**os.environ, **names, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "$URL" in commands[title]:
        assert (tmp_path / "people-r1.csv").read_text().startswith('"name",age,"city"')
    else:
        assert '"exportId":' in done.stdout
        assert '"error"' not in done.stdout
