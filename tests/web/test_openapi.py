"""The OpenAPI documents: valid, and true to sections 1, 2 and 4 of the contract."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi import definitions

from engine.request.operators import OPERATORS
from web.api.errors import error_codes
from web.openapi import make_document
from web.openapi.older import older_document, older_schema

EXPORT = "/v4/workflows/{workflowId}/data/export"
Json = dict[str, Any]

# Contract section 1: name -> type, choices, default.
PARAMETERS: dict[str, tuple[str, list[str] | None, object]] = {
    "format": ("string", ["csv", "json", "parquet"], "csv"),
    "runId": ("string", None, None),
    "filters": ("string", None, None),
    "sortBy": ("string", None, None),
    "order": ("string", ["asc", "desc"], "asc"),
    "rowIds": ("string", None, None),
    "includeRowIds": ("boolean", None, False),
    "bom": ("boolean", None, False),
    "delimiter": ("string", ["comma", "semicolon", "tab"], "comma"),
    "formulaGuard": ("boolean", None, False),
}

# Contract section 2: the members of a 200; what is ours is always there too.
REQUIRED = {"workflowId", "runId", "format", "rowCount", "url", "expiresAt"}
OURS = {"exportId", "sizeBytes", "sha256", "schema"}
MEMBERS: dict[str, Json] = {
    "workflowId": {"type": "string"},
    "runId": {"type": "string"},
    "format": {"type": "string", "enum": ["csv", "json", "parquet"]},
    "rowCount": {"type": "integer", "format": "int64"},
    "url": {"type": "string", "format": "uri"},
    "expiresAt": {"type": "string", "format": "date-time"},
    "executedAt": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
}
STATUSES = {"200", "202", "400", "401", "404", "405", "414", "429", "500", "503"}

# Contract section 4: the operators by the type of their value.
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
def older(document: Json) -> Json:
    return older_document(document)


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


def test_both_documents_are_valid(document: Json, older: Json) -> None:
    definitions.OPENAPI_31_VALIDATOR.validate(document)
    definitions.OPENAPI_30_VALIDATOR.validate(older)
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    assert document["openapi"].startswith("3.1.")
    assert older["openapi"] == "3.0.3"


@pytest.mark.parametrize("version", ["document", "older"])
def test_every_reference_leads_somewhere_and_every_component_is_used(
    version: str, request: pytest.FixtureRequest
) -> None:
    document: Json = request.getfixturevalue(version)
    used = set(references(document))
    there = {
        f"#/components/{kind}/{name}"
        for kind, components in document["components"].items()
        for name in components
        if kind != "securitySchemes"
    }
    assert used == there


def test_the_public_operation_takes_what_the_contract_says(document: Json) -> None:
    operation = document["paths"][EXPORT]["get"]
    rows = {row["name"]: row for row in operation["parameters"] if row["in"] == "query"}
    told = {name: row["schema"] for name, row in rows.items()}
    assert {
        name: (schema["type"], schema.get("enum"), schema.get("default")) for name, schema in told.items()
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


def test_the_200_is_what_the_contract_says(document: Json) -> None:
    schema = document["components"]["schemas"]["ExportAnswer"]
    assert set(schema["required"]) == REQUIRED | OURS
    assert set(schema["properties"]) == set(MEMBERS) | OURS
    for name, wanted in MEMBERS.items():
        assert schema["properties"][name].items() >= wanted.items(), name


def test_the_older_200_says_null_in_the_words_of_its_time(older: Json) -> None:
    schema = older["components"]["schemas"]["ExportAnswer"]
    assert set(schema["required"]) == REQUIRED | OURS
    executed = schema["properties"]["executedAt"]
    assert (executed["type"], executed["format"], executed["nullable"]) == ("string", "date-time", True)
    words = {*keys(older)}
    assert not words & {"anyOf", "oneOf", "const", "examples", "contentSchema", "contentMediaType", "exclusiveMinimum"}
    assert list(older["paths"]) == [EXPORT]
    assert set(older["paths"][EXPORT]) == {"parameters", "get"}
    assert set(older["paths"][EXPORT]["get"]["responses"]) == STATUSES


OLDER: dict[str, tuple[Json, Json]] = {
    "null beside a type": ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
    "null beside a schema": (
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "description": "d"},
        {"type": "integer", "minimum": 0, "nullable": True, "description": "d"},
    ),
    "null beside a reference": (
        {"anyOf": [{"$ref": "#/x"}, {"type": "null"}]},
        {"allOf": [{"$ref": "#/x"}], "nullable": True},
    ),
    "null beside two": (
        {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
    ),
    "null alone": ({"type": "null"}, {"nullable": True, "enum": [None]}),
    "several types": ({"type": ["string", "number"]}, {"anyOf": [{"type": "string"}, {"type": "number"}]}),
    "a constant": ({"const": True, "type": "boolean"}, {"enum": [True], "type": "boolean"}),
    "examples": ({"type": "string", "examples": ["a", "b"]}, {"type": "string", "example": "a"}),
    "an open bound": ({"exclusiveMinimum": 0}, {"minimum": 0, "exclusiveMinimum": True}),
    "a reference with a sentence": (
        {"$ref": "#/x", "description": "d"},
        {"allOf": [{"$ref": "#/x"}], "description": "d"},
    ),
    "a schema of text": ({"type": "string", "contentSchema": {"type": "array"}}, {"type": "string"}),
    "inside of members": (
        {"properties": {"const": {"const": 1}}, "items": {"const": 2}, "oneOf": [{"const": 3}]},
        {"properties": {"const": {"enum": [1]}}, "items": {"enum": [2]}, "oneOf": [{"enum": [3]}]},
    ),
}


@pytest.mark.parametrize("name", OLDER)
def test_a_schema_is_said_in_older_words(name: str) -> None:
    newer, wanted = OLDER[name]
    assert older_schema(newer) == wanted


def test_the_operators_are_those_of_the_engine(document: Json) -> None:
    told = {
        name: row["properties"]["value"]["type"]
        for row in document["components"]["schemas"]["Filter"]["oneOf"]
        for name in row["properties"]["operator"]["enum"]
    }
    assert told == VALUE_TYPES
    assert set(told) == set(OPERATORS)
    for row in document["components"]["schemas"]["Filter"]["oneOf"]:
        assert ("value" in row["required"]) == (row["properties"]["value"]["type"] != "null")


def test_every_error_code_is_told_with_its_status(document: Json) -> None:
    codes = error_codes()
    assert set(document["components"]["schemas"]["ErrorAnswer"]["properties"]["code"]["enum"]) == {
        code for found in codes.values() for code in found
    }
    for status, names in codes.items():
        for name in names:
            assert f"`{name}`" in document["components"]["responses"][f"Error{status}"]["description"]
