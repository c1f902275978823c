"""The OpenAPI documents: valid, and true to web/API.md, sections 1, 2 and 4."""

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import jsonschema_rs
import pytest
from pydantic import BaseModel
from schemathesis.specs.openapi import definitions

from engine.common.progress import Phase
from engine.request.operators import OPERATORS
from web.api.errors import error_codes
from web.openapi.document import make_document, make_document_30
from web.openapi.schemas import OpenApi30Schema

EXPORT = "/v4/workflows/{workflowId}/data/export"
Json = dict[str, Any]

# web/API.md, section 1: name -> type, choices, default.
PARAMETERS: dict[str, tuple[str, list[str] | None, object]] = {
    "format": ("string", ["csv", "json", "jsonl", "xlsx", "parquet"], "csv"),
    "runId": ("string", None, None),
    "sinceRunId": ("string", None, None),
    "filters": ("string", None, None),
    "sortBy": ("string", None, None),
    "order": ("string", ["asc", "desc"], "asc"),
    "rowIds": ("string", None, None),
    "includeRowIds": ("boolean", None, False),
    "fields": ("string", None, None),
    "flatten": ("boolean", None, False),
    "compression": ("string", ["none", "gzip", "zstd"], "none"),
    "bom": ("boolean", None, False),
    "delimiter": ("string", ["comma", "semicolon", "tab"], "comma"),
    "formulaGuard": ("boolean", None, False),
    "expiresIn": ("integer", None, None),
}

# web/API.md, section 2: the members of a 200; what is ours is there too, but for the columns of some statements and
# the hash of some files of a cluster.
REQUIRED = {"workflowId", "runId", "format", "rowCount", "url", "expiresAt"}
OURS = {"exportId", "sizeBytes"}
MEMBERS: dict[str, Json] = {
    "workflowId": {"type": "string"},
    "runId": {"type": "string"},
    "format": {"type": "string", "enum": ["csv", "json", "jsonl", "xlsx", "parquet"]},
    "rowCount": {"type": "integer", "format": "int64"},
    "url": {"type": "string", "format": "uri"},
    "expiresAt": {"type": "string", "format": "date-time"},
    "executedAt": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "crc64nvme": {"type": "string", "pattern": "^[A-Za-z0-9+/]{11}=$"},
    "schema": {"type": "array"},
    "sinceRunId": {"type": "string"},
    "unmatchedRowIds": {"type": "integer", "format": "int64"},
}
STATUSES = {"200", "202", "400", "401", "404", "405", "414", "429", "500", "503"}

# web/API.md, section 4: the operators by the type of their value.
VALUE_TYPES: dict[str, object] = {
    "EQUALS": ["string", "number", "boolean"],
    "NOT_EQUALS": ["string", "number", "boolean"],
    "CONTAINS": "string",
    "NOT_CONTAINS": "string",
    "STARTS_WITH": "string",
    "ENDS_WITH": "string",
    "GREATER_THAN": ["number", "string"],
    "LESS_THAN": ["number", "string"],
    "GREATER_THAN_OR_EQUAL": ["number", "string"],
    "LESS_THAN_OR_EQUAL": ["number", "string"],
    "IN": "array",
    "NOT_IN": "array",
    "IS_NULL": "null",
    "IS_NOT_NULL": "null",
    "IS_EMPTY": "null",
    "IS_NOT_EMPTY": "null",
    "BEFORE": "string",
    "AFTER": "string",
    "WITHIN_LAST_DAYS": "integer",
}


@pytest.fixture(scope="module")
def document() -> Json:
    return make_document("https://exports.example")


@pytest.fixture(scope="module")
def document_30() -> Json:
    return make_document_30("https://exports.example")


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


def test_both_documents_are_valid(document: Json, document_30: Json) -> None:
    definitions.OPENAPI_31_VALIDATOR.validate(document)
    definitions.OPENAPI_30_VALIDATOR.validate(document_30)
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    assert document["openapi"].startswith("3.1.")
    assert document_30["openapi"] == "3.0.3"


@pytest.mark.parametrize("version", ["document", "document_30"])
def test_every_reference_resolves_and_every_component_is_used(version: str, request: pytest.FixtureRequest) -> None:
    document: Json = request.getfixturevalue(version)
    used = set(references(document))
    there = {
        f"#/components/{kind}/{name}"
        for kind, components in document["components"].items()
        for name in components
        if kind != "securitySchemes"
    }
    assert used == there


def test_the_public_operation_takes_the_parameters_of_the_contract(document: Json) -> None:
    operation = document["paths"][EXPORT]["get"]
    rows = {row["name"]: row for row in operation["parameters"] if row["in"] == "query"}
    documented = {name: row["schema"] for name, row in rows.items()}
    assert {
        name: (schema["type"], schema.get("enum"), schema.get("default")) for name, schema in documented.items()
    } == PARAMETERS
    assert not any(row["required"] for row in rows.values())
    assert operation["security"] == [{"ApiKey": []}, {"BearerToken": []}]
    assert set(operation["responses"]) == STATUSES


def test_the_post_takes_the_same_names(document: Json) -> None:
    operation = document["paths"][EXPORT]["post"]
    body = document["components"]["schemas"]["ExportRequest"]
    assert list(body["properties"]) == list(PARAMETERS)
    assert body["additionalProperties"] is False
    assert set(operation["responses"]) == STATUSES | {"413"}
    for name, (_, choices, default) in PARAMETERS.items():
        schema = body["properties"][name]
        assert (schema.get("enum"), schema.get("default")) == (choices, default)


def test_the_200_has_the_members_of_the_contract(document: Json) -> None:
    schema = document["components"]["schemas"]["ExportAnswer"]
    assert set(schema["required"]) == REQUIRED | OURS
    assert set(schema["properties"]) == set(MEMBERS) | OURS
    for name, wanted in MEMBERS.items():
        assert schema["properties"][name].items() >= wanted.items(), name


def test_the_document_of_3_0_has_the_public_operation_without_keywords_of_3_1(document_30: Json) -> None:
    schema = document_30["components"]["schemas"]["ExportAnswer"]
    assert set(schema["required"]) == REQUIRED | OURS
    executed = schema["properties"]["executedAt"]
    assert (executed["type"], executed["format"], executed["nullable"]) == ("string", "date-time", True)
    newer = {"anyOf", "oneOf", "const", "examples", "contentSchema", "contentMediaType", "exclusiveMinimum"}
    assert not newer & {*keys(document_30)}
    assert list(document_30["paths"]) == [EXPORT]
    assert set(document_30["paths"][EXPORT]) == {"parameters", "get"}
    assert set(document_30["paths"][EXPORT]["get"]["responses"]) == STATUSES
    assert set(document_30["components"]["securitySchemes"]) == {"ApiKey", "BearerToken"}


class _Sample(BaseModel):
    """What pydantic writes in words of 3.1."""

    text: str | None
    several: str | int | None
    phase: Phase | None
    yes: Literal[True]


def test_null_and_constants_are_written_as_3_0_has_them() -> None:
    properties = _Sample.model_json_schema(schema_generator=OpenApi30Schema)["properties"]
    assert properties == {
        "text": {"type": "string", "nullable": True},
        "several": {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
        "phase": {"allOf": [{"$ref": "#/$defs/Phase"}], "nullable": True},
        "yes": {"type": "boolean", "enum": [True]},
    }


def test_the_operators_are_those_of_the_engine(document: Json) -> None:
    documented = {
        name: row["properties"]["value"]["type"]
        for row in document["components"]["schemas"]["Filter"]["oneOf"]
        for name in row["properties"]["operator"]["enum"]
    }
    assert documented == VALUE_TYPES
    assert set(documented) == set(OPERATORS)
    for row in document["components"]["schemas"]["Filter"]["oneOf"]:
        assert ("value" in row["required"]) == (row["properties"]["value"]["type"] != "null")


def test_every_error_code_is_documented_with_its_status(document: Json) -> None:
    codes = error_codes()
    assert set(document["components"]["schemas"]["ErrorAnswer"]["properties"]["code"]["enum"]) == {
        code for found in codes.values() for code in found
    }
    for status, names in codes.items():
        for name in names:
            assert f"`{name}`" in document["components"]["responses"][f"Error{status}"]["description"]


def test_the_document_of_the_api_has_every_status_and_code_of_errors() -> None:
    text = (Path(__file__).parents[2] / "web/API.md").read_text("utf-8")
    section = text.split("\n## 2. ")[1].split("\n## ")[0]
    documented: defaultdict[int, set[str]] = defaultdict(set)
    for statuses, codes in re.findall(r"^\| ([0-9, ]+) \| (`[a-z_`, ]+`) \|", section, re.MULTILINE):
        # A row of several statuses has one code for each, in their order.
        for status, code in zip(cycle(statuses.split(", ")), codes.split(", "), strict=False):
            documented[int(status)].add(code.strip("`"))
    assert documented == {status: set(codes) for status, codes in error_codes().items()}
