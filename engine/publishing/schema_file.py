"""A publisher's schema file: the fields of a run as the publisher declares them.

``{"fields": [{"name": "price", "dataType": "MONEY"}, ...]}``, or the bare list. An OBJECT may carry its own ``fields``,
an ARRAY its ``items``; what else a field says (description, example) is left alone.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic import Field as Member

from engine.catalog.schema import DATA_TYPES
from engine.catalog.types import JSON, ColumnType
from engine.common.json_depth import loads_within
from engine.errors import InvalidInput

_MAX_DEPTH = 200
"""Two brackets for each level of a type, of which `engine.catalog.types` allows fewer, and one around all."""


class Declared(BaseModel):
    """One declared field."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    name: str = ""
    data_type: str = Member(alias="dataType")
    fields: tuple["Declared", ...] | None = None
    items: "Declared | None" = None

    def stored_type(self) -> ColumnType:
        """The type that the field is stored in; JSON for an OBJECT or ARRAY whose inside is not declared."""
        if self.data_type == "OBJECT" and self.fields:
            return ColumnType(name="STRUCT", children=tuple((field.name, field.stored_type()) for field in self.fields))
        if self.data_type == "ARRAY" and self.items is not None:
            return ColumnType.list_of(self.items.stored_type())
        return DATA_TYPES[self.data_type]

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
        _check(field.fields or ())
        if field.items is not None:
            _check((field.items,))
