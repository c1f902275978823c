"""The schema of a run: its fields in order, and the lookup of a requested field or path."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Member

from engine.catalog.types import BOOLEAN, DATE, DOUBLE, JSON, MONEY, TEXT, TIMESTAMP, ColumnType, Family
from engine.common.quoting import identifier, literal

ROW_ID = "_row_id"
"""The internal column that identifies a row within its run; opaque text."""

DATA_TYPES: dict[str, ColumnType] = {
    "STRING": TEXT,
    "LINK": TEXT,
    "IMAGE": TEXT,
    "NUMBER": DOUBLE,
    "BOOLEAN": BOOLEAN,
    "DATE": DATE,
    "DATETIME": TIMESTAMP,
    "MONEY": MONEY,
    "OBJECT": JSON,
    "ARRAY": JSON,
}
"""The field types that a publisher may declare, and the stored type of each.

OBJECT and ARRAY are stored as JSON text only where their members are unknown.
"""

_DATA_TYPE_OF_FAMILY = {
    Family.INTEGER: "NUMBER",
    Family.DECIMAL: "NUMBER",
    Family.FLOAT: "NUMBER",
    Family.BOOLEAN: "BOOLEAN",
    Family.DATE: "DATE",
    Family.TIMESTAMP: "DATETIME",
    Family.LIST: "ARRAY",
    Family.OBJECT: "OBJECT",
    Family.MAP: "OBJECT",
    Family.JSON: "OBJECT",
}


def data_type_of(type_: ColumnType) -> str:
    """The field type that fits a stored type best; STRING if none does."""
    return _DATA_TYPE_OF_FAMILY.get(type_.family, "STRING")


class Field(BaseModel):
    """One field: its name, the declared field type and the stored type."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    name: str
    data_type: str = Member(alias="dataType")
    type: ColumnType

    @property
    def internal(self) -> bool:
        """Internal columns are never delivered (web/API.md, section 5)."""
        return self.name.startswith("_")


@dataclass(frozen=True, slots=True)
class Reference:
    """A column, or a member within an object, as SQL over the run's parts."""

    path: str
    sql: str
    type: ColumnType
    data_type: str


class Schema(BaseModel):
    """Fields in the order of export."""

    model_config = ConfigDict(frozen=True)

    fields: tuple[Field, ...]

    @classmethod
    def of(cls, *fields: Field) -> Self:
        """A schema of these fields."""
        return cls(fields=fields)

    def __iter__(self) -> Iterator[Field]:  # type: ignore[override]  # a schema is its fields
        return iter(self.fields)

    @property
    def delivered(self) -> tuple[Field, ...]:
        """The fields of an export without row ids."""
        return tuple(field for field in self.fields if not field.internal)

    def written(self, *, row_ids: bool) -> tuple[Field, ...]:
        """The fields of an export, in order, with the row id first if ``row_ids``."""
        ids = tuple(field for field in self.fields if field.name == ROW_ID and row_ids)
        return (*ids, *self.delivered)

    def find(self, path: str) -> Reference | None:
        """The field of that name, or the member at that dotted path, or None; internal columns are not found.

        A field whose name contains dots takes precedence over a path.
        """
        for field in self.delivered:
            if path == field.name:
                return Reference(path, identifier(field.name), field.type, field.data_type)
        for field in self.delivered:
            if path.startswith(field.name + "."):
                found = _descend(path, identifier(field.name), field.type, path[len(field.name) + 1 :])
                if found is not None:
                    return found
        return None


def _descend(path: str, sql: str, type_: ColumnType, rest: str) -> Reference | None:
    if type_.family is not Family.OBJECT:
        return None
    for name, child in type_.children:
        if rest == name:
            return Reference(path, f"struct_extract({sql}, {literal(name)})", child, data_type_of(child))
    for name, child in type_.children:
        if rest.startswith(name + "."):
            inner = f"struct_extract({sql}, {literal(name)})"
            found = _descend(path, inner, child, rest[len(name) + 1 :])
            if found is not None:
                return found
    return None
