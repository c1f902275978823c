"""The schema of a run: its fields in order, and the lookup of a requested field or path."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Member

from engine.catalog.types import BOOLEAN, DATE, DOUBLE, JSON, MONEY, TEXT, TIMESTAMP, ColumnType, Family
from engine.common.quoting import identifier, literal

ROW_ID = "_row_id"
"""The internal column that identifies a row within its run; opaque text."""

CHANGE = "_change"
"""The internal column of the rows that differ between two runs: ``added``, ``changed`` or ``removed``."""

CHANGED = "_changed"
"""The names of the columns in which a changed row differs, a list that filters may name and no file has."""

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

    @property
    def members(self) -> tuple["Reference", ...]:
        """The members of an object, in order; none of another type."""
        if self.type.family is not Family.OBJECT:
            return ()
        return tuple(
            Reference(f"{self.path}.{name}", f"struct_extract({self.sql}, {literal(name)})", child, data_type_of(child))
            for name, child in self.type.children
        )


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

    @property
    def columns(self) -> tuple[Reference, ...]:
        """The delivered fields."""
        return tuple(_reference(field) for field in self.delivered)

    @property
    def row_id(self) -> tuple[Reference, ...]:
        """The internal column of row ids, or nothing if there is none."""
        return self._internal(ROW_ID)

    @property
    def change(self) -> tuple[Reference, ...]:
        """The internal column `CHANGE`, or nothing if there is none."""
        return self._internal(CHANGE)

    @property
    def changed(self) -> tuple[Reference, ...]:
        """The internal column `CHANGED`, or nothing if there is none."""
        return self._internal(CHANGED)

    def _internal(self, name: str) -> tuple[Reference, ...]:
        return tuple(_reference(field) for field in self.fields if field.name == name)

    @property
    def references(self) -> tuple[Reference, ...]:
        """The delivered fields, each followed by the members within it, at any depth."""
        return tuple(found for column in self.columns for found in _with_members(column))

    def find(self, path: str) -> Reference | None:
        """The field of that name, or the member at that dotted path, or None; internal columns are not found.

        A field whose name contains dots takes precedence over a path.
        """
        return _find(path, self.columns)


def _reference(field: Field) -> Reference:
    return Reference(field.name, identifier(field.name), field.type, field.data_type)


def _with_members(column: Reference) -> Iterator[Reference]:
    yield column
    for member in column.members:
        yield from _with_members(member)


def _find(path: str, columns: Sequence[Reference]) -> Reference | None:
    for column in columns:
        if path == column.path:
            return column
    for column in columns:
        if path.startswith(column.path + "."):
            found = _find(path, column.members)
            if found is not None:
                return found
    return None
