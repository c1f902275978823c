"""The endpoints of the OpenAPI documents, which are made from the tables and models that the service itself uses."""

import json
from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from web.container import Services
from web.openapi.document import make_document, make_document_30


async def openapi(request: Request) -> Response:
    """Answer ``/openapi.json``."""
    return _answer(_encoded(_base_url(request)))


async def openapi_30(request: Request) -> Response:
    """Answer ``/openapi-3.0.json``."""
    return _answer(_encoded_30(_base_url(request)))


def _base_url(request: Request) -> str:
    services: Services = request.app.state.services
    return services.signer.base


@cache
def _encoded(base_url: str) -> bytes:
    return json.dumps(make_document(base_url), indent=1).encode()


@cache
def _encoded_30(base_url: str) -> bytes:
    return json.dumps(make_document_30(base_url), indent=1).encode()


def _answer(text: bytes) -> Response:
    return Response(text, media_type="application/json", headers={"cache-control": "no-cache"})
