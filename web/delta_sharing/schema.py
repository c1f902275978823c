"""The schema of a table: the columns of a run as the protocol writes them."""

import json
from collections.abc import Iterable

from engine.catalog.schema import Reference
from engine.catalog.types import ColumnType
from engine.plan.delta_types import NAMES, delta_type


def schema_string(columns: Iterable[Reference]) -> str:
    """The serialised schema of a file with these columns (`engine.plan.delta_types`)."""
    fields = [_field(column.path, delta_type(column.type)) for column in columns]
    return json.dumps({"type": "struct", "fields": fields}, ensure_ascii=False, separators=(",", ":"))


def _field(name: str, type_: ColumnType) -> dict[str, object]:
    return {"name": name, "type": _type(type_), "nullable": True, "metadata": {}}


def _type(type_: ColumnType) -> object:
    children = [child for _, child in type_.children]
    match type_.name:
        case "DECIMAL":
            return f"decimal({type_.precision},{type_.scale})"
        case "LIST":
            return {"type": "array", "elementType": _type(children[0]), "containsNull": True}
        case "MAP":
            key, value = map(_type, children)
            return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
        case "STRUCT":
            return {"type": "struct", "fields": [_field(name, child) for name, child in type_.children]}
        case _:
            return NAMES[type_.name]
