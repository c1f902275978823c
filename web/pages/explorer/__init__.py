"""The page at ``/``: browse workflows, filter, plot, export and query with SQL.

The page itself contains no data; everything comes from the API, with the key that the user enters. There are no
external resources and no inline scripts or styles, and the content security policy allows none. At ``/?thumbnails``
the policy also allows images of other hosts, which then learn who looks.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.request.formats import COMPRESSIONS, DELIMITERS, FORMATS
from engine.request.operators import OPERATORS
from web.container import Services

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": _POLICY.format(images="'self'"),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_THUMBNAIL_HEADERS = {**_HEADERS, "content-security-policy": _POLICY.format(images="'self' https:")}


async def explorer(request: Request) -> Response:
    """Return the page."""
    services: Services = request.app.state.services
    headers = _THUMBNAIL_HEADERS if "thumbnails" in request.query_params else _HEADERS
    return _answer(
        request,
        _page(services.signing.url_ttl_seconds, has_sql=services.queries.sql != "off"),
        "text/html; charset=utf-8",
        headers,
    )


async def asset(request: Request) -> Response:
    """Return a script, a style sheet or the icon."""
    name = request.path_params["name"]
    content = _assets().get(name)
    if content is None:
        raise HTTPException(404, "There is no such file")
    return _answer(request, content, _TYPES[name.rpartition(".")[2]], _HEADERS)


def _answer(request: Request, content: bytes, content_type: str, headers: dict[str, str]) -> Response:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**headers, "etag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=content_type, headers=headers)


@cache
def _page(url_ttl_seconds: int, *, has_sql: bool) -> bytes:
    """Return the page with the operators, formats and options of the service as data, and its modules preloaded."""
    service = {
        "operators": {row.name: row.value.name.lower() for row in OPERATORS.values()},
        "formats": {row.name: {"compressed": row.compressed, "maxRows": row.max_rows} for row in FORMATS.values()},
        "compressions": [*COMPRESSIONS],
        "delimiters": [*DELIMITERS],
        "urlSeconds": url_ttl_seconds,
        "sql": has_sql,
    }
    names = _assets()
    text = Template(_static().joinpath("page.html").read_text("utf-8"))
    return text.substitute(
        service=json.dumps(service).replace("<", "\\u003c"),
        styles="\n".join(
            f'<link rel="stylesheet" href="assets/{name}">' for name in names if name.startswith("styles/")
        ),
        preloads="\n".join(
            f'<link rel="modulepreload" href="assets/{name}">'
            for name in names
            if name.endswith(".js") and name != "operations.js"
        ),
    ).encode()


@cache
def _assets() -> dict[str, bytes]:
    """The files that are served, by their path below ``assets/``; all pages share one palette."""
    palette = files("web.pages").joinpath("palette.css").read_bytes()
    return {"palette.css": palette, **dict(sorted(_files(_static(), "")))}


def _static() -> Traversable:
    return files("web.pages.explorer").joinpath("static")


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield prefix + entry.name, entry.read_bytes()
