"""A publisher's schema file: the fields of a run as the publisher declares them.

::

    {"fields": [
        {"name": "sku", "dataType": "STRING"},
        {"name": "price", "dataType": "NUMBER", "type": "DECIMAL(18,2)"},
        {"name": "size", "dataType": "OBJECT", "fields": [{"name": "width", "dataType": "NUMBER"}]},
        {"name": "tags", "dataType": "ARRAY", "items": {"dataType": "STRING"}}
    ]}

or the bare list. An OBJECT may have ``fields``, an ARRAY ``items``. A NUMBER is stored as a DOUBLE unless ``type`` says
BIGINT or DECIMAL(precision,scale). Other members of a field, such as a description, are ignored.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic import Field as Member

from engine.catalog.schema import DATA_TYPES, Field, data_type_of
from engine.catalog.types import BIGINT, DOUBLE, JSON, ColumnType, Family
from engine.common.json_depth import loads_within
from engine.errors import InvalidInput, quoted_excerpt

_MAX_DEPTH = 200
"""Two brackets for each level of a type, of which `engine.catalog.types` allows fewer, and one around all."""


class Declared(BaseModel):
    """One declared field."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    name: str = ""
    data_type: str = Member(alias="dataType")
    fields: tuple["Declared", ...] | None = None
    items: "Declared | None" = None
    type: str | None = None
    """How a NUMBER is stored, if not as a DOUBLE."""

    def stored_type(self) -> ColumnType:
        """The type that the field is stored in; JSON for an OBJECT or ARRAY whose inside is not declared."""
        if self.data_type == "OBJECT" and self.fields:
            return ColumnType(name="STRUCT", children=tuple((field.name, field.stored_type()) for field in self.fields))
        if self.data_type == "ARRAY" and self.items is not None:
            return ColumnType.list_of(self.items.stored_type())
        return DATA_TYPES[self.data_type] if self.type is None else _number_type(self.type) or DOUBLE

    @property
    def open(self) -> bool:
        """Whether the data may tell what is inside."""
        return self.stored_type() == JSON


_FIELDS = TypeAdapter(tuple[Declared, ...])


def read_schema_file(path: Path) -> tuple[Declared, ...]:
    """Read a schema file. Raises InvalidInput, which names the field and what would have been right."""
    try:
        content: Any = loads_within(path.read_bytes(), _MAX_DEPTH)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"The schema file {path.name} cannot be read as JSON: {error}.") from error
    try:
        fields = _FIELDS.validate_python(content["fields"] if isinstance(content, dict) else content)
    except (KeyError, ValidationError) as error:
        raise InvalidInput(
            f'The schema file {path.name} is {{"fields": [{{"name": ..., "dataType": ...}}, ...]}}.'
        ) from error
    _check(fields)
    if not fields:
        raise InvalidInput(f"The schema file {path.name} declares no field.")
    return fields


def _check(fields: tuple[Declared, ...]) -> None:
    for field in fields:
        if field.data_type not in DATA_TYPES:
            raise InvalidInput(
                f"The field {field.name} has the dataType {field.data_type!r}: use one of {', '.join(DATA_TYPES)}."
            )
        if field.type is not None and (field.data_type != "NUMBER" or _number_type(field.type) is None):
            raise InvalidInput(
                f"The field {field.name} has the type {quoted_excerpt(field.type)}: only a NUMBER has a type, "
                "which is DOUBLE, BIGINT or DECIMAL(precision,scale) of at most 38 digits."
            )
        _check(field.fields or ())
        if field.items is not None:
            _check((field.items,))


_LARGEST_UNSIGNED = "DECIMAL(20,0)"
_DECIMAL = re.compile(r"DECIMAL\(([1-9][0-9]?),([0-9]{1,2})\)")


def _number_type(text: str) -> ColumnType | None:
    if text in ("DOUBLE", "BIGINT"):
        return DOUBLE if text == "DOUBLE" else BIGINT
    found = _DECIMAL.fullmatch(text)
    if found is None:
        return None
    precision, scale = int(found[1]), int(found[2])
    return ColumnType(name="DECIMAL", precision=precision, scale=scale) if scale <= precision <= 38 else None


def schema_document(fields: Iterable[Field]) -> str:
    """A schema file that declares these fields, to be edited."""
    described = [_described(field.type, field.data_type, field.name) for field in fields]
    return json.dumps({"fields": described}, indent=2, ensure_ascii=False) + "\n"


def _described(type_: ColumnType, data_type: str, name: str | None) -> dict[str, object]:
    described: dict[str, object] = {} if name is None else {"name": name}
    described["dataType"] = data_type
    if type_.family is Family.INTEGER:
        described["type"] = _LARGEST_UNSIGNED if type_.name == "UBIGINT" else "BIGINT"
    elif type_.family is Family.DECIMAL:
        described["type"] = type_.sql()
    elif data_type == "OBJECT" and type_.family is Family.OBJECT:
        described["fields"] = [_described(child, data_type_of(child), name) for name, child in type_.children]
    elif data_type == "ARRAY" and type_.children:
        described["items"] = _described(type_.item, data_type_of(type_.item), None)
    return described
