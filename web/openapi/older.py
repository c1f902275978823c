"""The public operation alone, as OpenAPI 3.0.3: for generators of clients that know nothing newer.

What 3.0 has no word for is left out or said otherwise, so that it promises no more than 3.1 does.
"""

from collections.abc import Iterator
from typing import Any

from web.openapi.operations import EXPORT_PATH
from web.openapi.schemas import Json

_UNKNOWN = ("contentMediaType", "contentSchema", "contentEncoding", "$comment", "prefixItems", "patternProperties")
_SCHEMAS_IN = ("allOf", "anyOf", "oneOf")
_VERBATIM = frozenset({"example", "examples", "default", "enum"})


def older_document(document: Json) -> Json:
    """GET of the export path, and what it refers to."""
    path = document["paths"][EXPORT_PATH]
    paths = {EXPORT_PATH: _converted({"parameters": path["parameters"], "get": path["get"]})}
    components = _used(document["components"], paths)
    schemes = sorted({name for one in path["get"]["security"] for name in one})
    components["securitySchemes"] = {name: document["components"]["securitySchemes"][name] for name in schemes}
    return {
        "openapi": "3.0.3",
        "info": {name: value for name, value in document["info"].items() if name != "summary"},
        "servers": document["servers"],
        "paths": paths,
        "components": components,
    }


def older_schema(schema: Json) -> Json:
    """A schema in the words of 3.0."""
    found = {name: _member(name, value) for name, value in schema.items() if name not in _UNKNOWN}
    if "$ref" in found and len(found) > 1:
        # 3.0 does not look at what stands beside a reference.
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if "examples" in found:
        found["example"] = found.pop("examples")[0]
    _exclusive(found, "minimum")
    _exclusive(found, "maximum")
    return _nullable(found)


def _nullable(found: Json) -> Json:
    types = found.get("type")
    if types == "null":
        del found["type"]
        return {**found, "nullable": True, "enum": [None]}
    if isinstance(types, list):
        del found["type"]
        kept = [{"type": name} for name in types if name != "null"]
        found |= kept[0] if len(kept) == 1 else {"anyOf": kept}
        return {**found, "nullable": True} if "null" in types else found
    alternatives = [one for one in found.get("anyOf", []) if one.get("enum") != [None]]
    if len(alternatives) == len(found.get("anyOf", [])):
        return found
    del found["anyOf"]
    if len(alternatives) > 1:
        found["anyOf"] = alternatives
    elif "$ref" in alternatives[0]:
        found["allOf"] = alternatives
    else:
        found |= alternatives[0]
    return {**found, "nullable": True}


def _exclusive(found: Json, bound: str) -> None:
    name = f"exclusive{bound.title()}"
    if name in found:
        found[bound], found[name] = found[name], True


def _member(name: str, value: Any) -> Any:
    if name == "properties" and isinstance(value, dict):
        return {member: older_schema(schema) for member, schema in value.items()}
    if name in _SCHEMAS_IN and isinstance(value, list):
        return [older_schema(schema) for schema in value]
    if name in ("items", "additionalProperties", "not") and isinstance(value, dict):
        return older_schema(value)
    return value


def _converted(value: Any) -> Any:
    """Anything outside of a schema, with the schemas in it converted."""
    if isinstance(value, list):
        return [_converted(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: older_schema(item) if name == "schema" else item if name in _VERBATIM else _converted(item)
        for name, item in value.items()
    }


def _used(components: Json, paths: Json) -> Json:
    """The components that are referred to, converted, with those that these refer to."""
    used: Json = {}
    waiting = list(_references(paths))
    while waiting:
        kind, name = waiting.pop().split("/")[2:]
        if name in used.get(kind, {}):
            continue
        found = components[kind][name]
        used.setdefault(kind, {})[name] = older_schema(found) if kind == "schemas" else _converted(found)
        waiting += _references(used[kind][name])
    return {kind: dict(sorted(used[kind].items())) for kind in sorted(used)}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
