"""Renders schemas and texts of the OpenAPI document as HTML."""

import re
from html import escape

from web.openapi.schemas import Json


def code(text: str) -> str:
    """Return text as code."""
    return f"<code>{escape(text)}</code>"


def prose(text: str) -> str:
    """Return a text of the document, with code in backquotes."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def resolved(node: Json, components: Json) -> Json:
    """Return the component that a node refers to, or the node itself."""
    if "$ref" not in node:
        return node
    kind, name = node["$ref"].split("/")[2:]
    found: Json = components[kind][name]
    return found


def spelled(value: object) -> str:
    """Return a value as it is written in a URL."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def shape(schema: Json) -> str:
    """Describe a schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{name}">{code(name)}</a>'
    if "contentSchema" in schema:
        return f"JSON text of {shape(schema['contentSchema'])}"
    for union in ("oneOf", "anyOf"):
        if union in schema:
            return " or ".join(map(shape, schema[union]))
    if schema.get("type") == "array":
        return f"array of {shape(schema['items'])}{_limits(schema)}"
    if "properties" in schema:
        members = (f"{code(name)}: {shape(inner)}" for name, inner in schema["properties"].items())
        return f"{{ {', '.join(members)} }}"
    if "enum" in schema:
        return " | ".join(code(str(value)) for value in schema["enum"]) + _default(schema)
    types = schema.get("type", [])
    names = [types] if isinstance(types, str) else types
    if "const" in schema:
        names = [spelled(schema["const"])]
    return escape(" or ".join(names) + _format(schema)) + _default(schema)


def _format(schema: Json) -> str:
    return f" ({schema['format']})" if "format" in schema else ""


def _default(schema: Json) -> str:
    return f", default {code(spelled(schema['default']))}" if "default" in schema else ""


def _limits(schema: Json) -> str:
    return f", at most {schema['maxItems']:,}" if "maxItems" in schema else ""
