"""The OpenAPI documents: 3.1 with every operation, and 3.0.3 with the public one, which some client generators need."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from web.openapi.operations import EXPORT_PATH, SECURITY_SCHEMES, paths
from web.openapi.parameters import request_bodies
from web.openapi.responses import HEADERS, error_responses
from web.openapi.schemas import Json, OpenApi30Schema, component_schemas

_INFO: Json = {
    "title": "Tailrace",
    "version": version("tailrace"),
    "description": "Exports of workflow runs: filters, a sort order and row ids become one CSV, JSON, xlsx or Parquet "
    "file behind a signed URL. Authenticate with `x-api-key` or a bearer token; either is enough.",
    "license": {"name": "MIT"},
}
_SUMMARY = "Analytical exports: one exact file behind one signed URL"


def make_document(base_url: str) -> Json:
    """Describe the service at ``base_url`` as OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {**_INFO, "summary": _SUMMARY},
        "servers": [{"url": base_url}],
        "paths": paths(),
        "components": {
            "schemas": component_schemas(request_bodies()),
            "responses": error_responses(),
            "headers": HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def make_document_30(base_url: str) -> Json:
    """Describe the GET of the export path, and the components that it refers to, as OpenAPI 3.0.3."""
    document = make_document(base_url)
    path = document["paths"][EXPORT_PATH]
    get = {**path["get"], "parameters": [_parameter_30(parameter) for parameter in path["get"]["parameters"]]}
    public = {EXPORT_PATH: {"parameters": path["parameters"], "get": get}}
    components = document["components"] | {"schemas": component_schemas(request_bodies(), OpenApi30Schema)}
    schemes = {name: SECURITY_SCHEMES[name] for requirement in get["security"] for name in requirement}
    return {
        "openapi": "3.0.3",
        "info": _INFO,
        "servers": document["servers"],
        "paths": public,
        "components": {**_referenced(components, public), "securitySchemes": schemes},
    }


def _parameter_30(parameter: Json) -> Json:
    """3.0 cannot say which media type a string holds."""
    schema = {name: value for name, value in parameter["schema"].items() if not name.startswith("content")}
    return {**parameter, "schema": schema}


def _referenced(components: Json, paths: Json) -> Json:
    """The components that are referred to, with those that these refer to in turn."""
    found: Json = {}
    pending = list(_references(paths))
    while pending:
        kind, name = pending.pop().split("/")[2:]
        if name not in found.setdefault(kind, {}):
            found[kind][name] = components[kind][name]
            pending += _references(found[kind][name])
    return {kind: dict(sorted(found[kind].items())) for kind in sorted(found)}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
