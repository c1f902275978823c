"""The schemas of bodies: from the models of answers, and from the table of operators."""

from typing import Any, TypeAlias

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from engine.request.operators import OPERATORS, ValueShape
from engine.request.request import MAX_FILTERS
from web.api.changes import ChangeAnswer, ChangesAnswer
from web.api.errors import error_codes
from web.api.models import ExportAnswer, TicketAnswer
from web.api.publishing.publish import RunAnswer
from web.api.query import QueryRequest, StatementBody
from web.api.row_models import MODELS as READING_MODELS
from web.delta_sharing.errors import DeltaSharingError
from web.delta_sharing.models import MODELS as DELTA_MODELS
from web.http.error_body import ErrorAnswer

Json: TypeAlias = dict[str, Any]

KEY_OR_TOKEN: list[Json] = [{"ApiKey": []}, {"BearerToken": []}]
"""The security of operations for callers of a team."""

MODELS = (
    ExportAnswer,
    TicketAnswer,
    RunAnswer,
    ChangeAnswer,
    ChangesAnswer,
    ErrorAnswer,
    *READING_MODELS,
    *DELTA_MODELS,
    DeltaSharingError,
)

_SCALAR: Json = {"type": ["string", "number", "boolean"]}
_DATE: Json = {"type": "string", "description": "ISO 8601; a date without a time is its midnight UTC"}
_VALUES: dict[ValueShape, Json] = {
    ValueShape.SCALAR: _SCALAR,
    ValueShape.TEXT: {"type": "string"},
    ValueShape.ORDERED: {"type": ["number", "string"], "description": "A number, or an ISO 8601 date"},
    ValueShape.DATE: _DATE,
    ValueShape.ARRAY: {"type": "array", "items": _SCALAR},
    ValueShape.DAYS: {"type": "integer", "minimum": 1},
    ValueShape.NONE: {"type": "null"},
}


def ref(name: str, kind: str = "schemas") -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


class OpenApi31Schema(GenerateJsonSchema):
    """Schemas without titles that only repeat names, which would become class names in generated clients."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  # the signature is pydantic's
        """Leave out titles of fields."""
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Leave out titles of models."""
        found = super().model_schema(schema)
        found.pop("title", None)
        return found

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave out defaults of null: ``required`` already says that the member may be missing."""
        found = super().default_schema(schema)
        if found.get("default", ...) is None:
            del found["default"]
        return found


class OpenApi30Schema(OpenApi31Schema):
    """The same as OpenAPI 3.0.3, which has neither a null type nor ``const``."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Mark a schema as nullable; what stands beside a reference would be ignored."""
        found = self.generate_inner(schema["schema"])
        return {**({"allOf": [found]} if "$ref" in found else found), "nullable": True}

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        """List a single literal as an enumeration."""
        found = super().literal_schema(schema)
        if "const" in found:
            found["enum"] = [found.pop("const")]
        return found


def component_schemas(
    bodies: dict[str, Json], generator: type[GenerateJsonSchema] = OpenApi31Schema
) -> dict[str, Json]:
    """Return every named schema. ``bodies`` are those of the POSTs that make exports."""
    _, found = models_json_schema(
        [*((model, "serialization") for model in MODELS), (QueryRequest, "validation"), (StatementBody, "validation")],
        ref_template="#/components/schemas/{model}",
        schema_generator=generator,
    )
    schemas: dict[str, Json] = found["$defs"]
    schemas["ErrorAnswer"]["properties"]["code"]["enum"] = sorted(
        {code for codes in error_codes().values() for code in codes}
    )
    schemas["Filter"] = _filter()
    schemas["Filters"] = {
        "type": "array",
        "items": ref("Filter"),
        "maxItems": MAX_FILTERS,
        "description": "All must hold; `[]` is valid",
    }
    statement = schemas.pop("StatementBody")
    schemas |= bodies
    schemas["StatementExportRequest"] |= {
        "required": statement["required"],
        "properties": statement["properties"] | bodies["StatementExportRequest"]["properties"],
    }
    return dict(sorted(schemas.items()))


def _filter() -> Json:
    """Describe a filter, with one alternative for each shape of value and the operators that take it."""
    alternatives = []
    for shape, value in _VALUES.items():
        names = [row.name for row in OPERATORS.values() if row.value is shape]
        alternatives.append(
            {
                "type": "object",
                "title": f"The value is {shape.value}" if shape is not ValueShape.NONE else "Without a value",
                "required": ["field", "operator"] + ([] if shape is ValueShape.NONE else ["value"]),
                "properties": {
                    "field": {
                        "type": "string",
                        "minLength": 1,
                        "description": "A column; a dotted path reaches into an object",
                    },
                    "operator": {"type": "string", "enum": names},
                    "value": value,
                },
                "additionalProperties": False,
            }
        )
    return {"oneOf": alternatives}
