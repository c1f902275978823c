"""The page that a browser shows for a link whose time is over. Programs get the error as JSON, as of any other."""

from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from starlette.requests import Request
from starlette.responses import Response

from web.api.errors import answer_error
from web.container import Services

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def answer_expired(request: Request, error: Exception) -> Response:
    """Build the response to an expired URL: a page if the caller asks for one."""
    answer = await answer_error(request, error)
    if "text/html" not in request.headers.get("accept", ""):
        return answer
    services: Services = request.app.state.services
    page = _template().substitute(
        base=escape(services.signer.base), workflow=escape(request.path_params.get("workflow_id", ""))
    )
    kept = ("www-authenticate", "cache-control", "x-request-id")
    headers = {
        **{name: answer.headers[name] for name in kept},
        "content-security-policy": _POLICY,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return Response(page, answer.status_code, headers=headers, media_type="text/html; charset=utf-8")


@cache
def _template() -> Template:
    return Template(files("web.pages").joinpath("expired.html").read_text("utf-8"))
