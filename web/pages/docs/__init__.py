"""``/docs``: the OpenAPI document as an HTML page, with a script that adds a search and forms to try operations."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from starlette.requests import Request
from starlette.responses import Response

from engine.request.operators import OPERATORS
from web.container import Services
from web.openapi.document import make_document
from web.openapi.schemas import Json
from web.pages.docs.examples import EXAMPLES
from web.pages.docs.shapes import code, prose, resolved, shape, spelled


async def docs(request: Request) -> Response:
    """Return the page."""
    services: Services = request.app.state.services
    page, policy = _page(services.signer.base)
    headers = {
        "content-security-policy": policy,
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)


@cache
def _page(base_url: str) -> tuple[bytes, str]:
    """Return the page, and a content security policy that allows its style sheet and scripts of this service."""
    document = make_document(base_url)
    style = files("web.pages").joinpath("palette.css").read_text("utf-8") + _read("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    operations = [
        (f"{method.upper()} {path}", operation, item.get("parameters", []))
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]
    page = Template(_read("page.html")).substitute(
        title=escape(document["info"]["title"]),
        description=prose(document["info"]["description"]),
        style=style,
        links="\n".join(
            f'<li><a href="#{operation["operationId"]}">{code(name)}</a></li>' for name, operation, _ in operations
        ),
        examples="\n".join(
            f"<h3>{escape(title)}</h3>\n<pre><code>{escape(text.replace('BASE', base_url))}</code></pre>"
            for title, text in EXAMPLES.items()
        ),
        operations="\n".join(
            _operation(name, operation, shared, document["components"]) for name, operation, shared in operations
        ),
        operators=_table(
            "Operators of filters",
            ("operator", "meaning", "value"),
            [(code(row.name), escape(row.meaning), escape(row.value.value)) for row in OPERATORS.values()],
        ),
        schemas="\n".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
    )
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; script-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page.encode(), policy


def _operation(name: str, operation: Json, shared: list[Json], components: Json) -> str:
    method, _, path = name.partition(" ")
    parameters = [
        (code(row["name"]), escape(row["in"]), shape(row["schema"]), prose(row["description"]) + _example(row))
        for row in [*shared, *operation["parameters"]]
    ]
    answers = [
        (code(status), prose(answer["description"]), _body(answer), ", ".join(map(code, answer["headers"])))
        for status, answer in sorted(
            (status, resolved(answer, components)) for status, answer in operation["responses"].items()
        )
    ]
    parts = [
        f'<section data-method="{method.lower()}" data-path="{escape(path)}">\n'
        f'<h2 id="{operation["operationId"]}">{code(name)}</h2>',
        f"<p>{prose(operation['summary'])}. {prose(operation.get('description', ''))}</p>",
        f"<p>Credentials: {_security(operation['security'])}.</p>",
        _table("Parameters", ("name", "in", "values", "meaning"), parameters),
    ]
    if "requestBody" in operation:
        parts.append(f"<p>Body: {_body(operation['requestBody'])}, or none.</p>")
    parts.append(_table("Responses", ("status", "when", "body", "headers"), answers))
    return "\n".join([*parts, "</section>"])


def _example(parameter: Json) -> str:
    return f". Example: {code(spelled(parameter['example']))}" if "example" in parameter else ""


def _security(choices: list[Json]) -> str:
    return " or ".join(code(name) for choice in choices for name in choice) or "none"


def _body(answer: Json) -> str:
    media = answer.get("content", {})
    return "<br>".join(f"{code(name)} {shape(one.get('schema', {}))}".strip() for name, one in media.items()) or "none"


def _schema(name: str, schema: Json) -> str:
    head = f'<h3 id="schema-{name}">{code(name)}</h3>\n<p>{prose(schema.get("description", ""))}</p>'
    if "properties" not in schema:
        return f"{head}\n<p>{shape(schema)}</p>"
    required = schema.get("required", ())
    members = [
        (
            code(member) + ("" if member in required else " (optional)"),
            shape(inner),
            prose(inner.get("description", "")),
        )
        for member, inner in schema["properties"].items()
    ]
    return f"{head}\n{_table(f'Members of {name}', ('name', 'values', 'meaning'), members)}"


def _table(caption: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return an HTML table. Cells are HTML; the first cell of a row is its heading.

    The roles repeat the meaning of the elements, which browsers drop when CSS displays a table as blocks.
    """
    head = "".join(f'<th scope="col" role="columnheader">{name}</th>' for name in columns)
    body = "\n".join(map(_row, rows))
    return (
        f'<div class="table"><table role="table">\n<caption>{escape(caption)}</caption>\n'
        f'<thead><tr role="row">{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'
    )


def _row(cells: tuple[str, ...]) -> str:
    first, *rest = cells
    data = "".join(f'<td role="cell">{cell}</td>' for cell in rest)
    return f'<tr role="row"><th scope="row" role="rowheader">{first}</th>{data}</tr>'


def _read(name: str) -> str:
    return files("web.pages.docs").joinpath(name).read_text("utf-8")
