"""The page at ``/``: browse workflows, filter, plot, export and query with SQL.

The page itself contains no data; everything comes from the API, with the key that the user enters. There are no
external resources and no inline scripts or styles, and the content security policy allows none.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.request.formats import COMPRESSIONS, DELIMITERS, FORMATS
from engine.request.operators import OPERATORS

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


async def explorer(request: Request) -> Response:
    """Return the page."""
    return _answer(request, _page(), "text/html; charset=utf-8")


async def asset(request: Request) -> Response:
    """Return a script, a style sheet or the icon."""
    name = request.path_params["name"]
    if name not in _names():
        raise HTTPException(404, "There is no such file")
    return _answer(request, _read(name), _TYPES[name.rpartition(".")[2]])


def _answer(request: Request, content: bytes, content_type: str) -> Response:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "etag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=content_type, headers=headers)


@cache
def _page() -> bytes:
    """Return the page with operators, formats, compressions and delimiters as options."""
    operators = "\n".join(
        f'<option value="{row.name}" data-shape="{row.value.name.lower()}" title="{escape(row.meaning)}">'
        f"{escape(row.name.lower().replace('_', ' '))}</option>"
        for row in OPERATORS.values()
    )
    text = Template(_read("page.html").decode())
    return text.substitute(
        operators=operators,
        formats=_options(FORMATS),
        compressions=_options(COMPRESSIONS),
        delimiters=_options(DELIMITERS),
    ).encode()


def _options(names: Iterable[str]) -> str:
    return "\n".join(f'<option value="{name}">{name}</option>' for name in names)


@cache
def _names() -> frozenset[str]:
    """Names of the files that are served."""
    return frozenset(
        entry.name
        for entry in files("web.pages.explorer").joinpath("static").iterdir()
        if not entry.name.endswith(".html")
    )


@cache
def _read(name: str) -> bytes:
    content = files("web.pages.explorer").joinpath("static", name).read_bytes()
    # All pages share one palette.
    return files("web.pages").joinpath("palette.css").read_bytes() + content if name.endswith(".css") else content
