"""The OpenAPI document, made from what the service itself reads: nothing in it is a copy that could be forgotten."""

import json
from functools import cache
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response

from web.container import Services
from web.openapi.older import older_document
from web.openapi.operations import SECURITY_SCHEMES, paths
from web.openapi.parameters import request_body
from web.openapi.responses import HEADERS, error_responses
from web.openapi.schemas import Json, component_schemas

_DESCRIPTION = (
    "Exports of workflow runs: filters, a sort order and row ids become one CSV, JSON or Parquet file behind a signed "
    "URL. Credentials are `x-api-key` or a bearer token, either alone is enough."
)


def make_document(base_url: str) -> Json:
    """The document of a service that is reached at ``base_url``, as OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tailrace",
            "version": version("tailrace"),
            "summary": "Analytical exports: one exact file behind one signed URL",
            "description": _DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "servers": [{"url": base_url}],
        "paths": paths(),
        "components": {
            "schemas": component_schemas(request_body()),
            "responses": error_responses(),
            "headers": HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


async def openapi(request: Request) -> Response:
    """Answer ``/openapi.json``."""
    return _answer(_text(_base(request), older=False))


async def openapi_older(request: Request) -> Response:
    """Answer ``/openapi-3.0.json``."""
    return _answer(_text(_base(request), older=True))


def _base(request: Request) -> str:
    services: Services = request.app.state.services
    return services.signer.base


@cache
def _text(base_url: str, *, older: bool) -> bytes:
    document = make_document(base_url)
    return json.dumps(older_document(document) if older else document, indent=1).encode()


def _answer(text: bytes) -> Response:
    return Response(text, media_type="application/json", headers={"cache-control": "no-cache"})
