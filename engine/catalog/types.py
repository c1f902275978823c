"""The types that runs store, and the families that decide which operators apply to a column.

Publishing converts every source type to one of these or refuses it, so the rest of the engine meets no other.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from engine.common.quoting import identifier

MAX_DEPTH = 64
"""Levels of a type. A run's manifest nests three brackets for each, and pydantic's JSON parser allows 200."""

MAX_LISTS = 16
"""Lists within lists. Each level is a lambda within a lambda in SQL, and doubles the time DuckDB takes to bind it."""


class Family(Enum):
    """A group of types that filters, sorts and projections treat alike."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIME = "time"
    INTERVAL = "interval"
    BINARY = "binary"
    JSON = "json"
    LIST = "list"
    OBJECT = "object"
    MAP = "map"


INTEGER_BITS = {
    "TINYINT": (8, True),
    "SMALLINT": (16, True),
    "INTEGER": (32, True),
    "BIGINT": (64, True),
    "UTINYINT": (8, False),
    "USMALLINT": (16, False),
    "UINTEGER": (32, False),
    "UBIGINT": (64, False),
}
"""Width and signedness of the integer types."""

FAMILIES: dict[str, Family] = {
    "VARCHAR": Family.TEXT,
    "UUID": Family.TEXT,
    **dict.fromkeys(INTEGER_BITS, Family.INTEGER),
    "DECIMAL": Family.DECIMAL,
    "FLOAT": Family.FLOAT,
    "DOUBLE": Family.FLOAT,
    "BOOLEAN": Family.BOOLEAN,
    "DATE": Family.DATE,
    "TIMESTAMP WITH TIME ZONE": Family.TIMESTAMP,
    "TIME": Family.TIME,
    "INTERVAL": Family.INTERVAL,
    "BLOB": Family.BINARY,
    "JSON": Family.JSON,
    "LIST": Family.LIST,
    "STRUCT": Family.OBJECT,
    "MAP": Family.MAP,
}
"""The family of each stored type, by DuckDB's name."""


_CHILDREN: dict[str, int | None] = {"LIST": 1, "MAP": 2, "STRUCT": None}
"""The number of child types; None: any."""


class ColumnType(BaseModel):
    """A stored type, with its child types if it is nested.

    ``children`` are the members of a STRUCT, the ``item`` of a LIST, or the ``key`` and ``value`` of a MAP.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    precision: int | None = None
    scale: int | None = None
    children: tuple[tuple[str, "ColumnType"], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse what cannot be a type: types are read from stored documents, and become SQL."""
        if self.name not in FAMILIES:
            raise ValueError("not a stored type")
        if (self.name == "DECIMAL") is (self.precision is None or self.scale is None):
            raise ValueError("a DECIMAL needs precision and scale; no other type has them")
        children = _CHILDREN.get(self.name, 0)
        if children is not None and len(self.children) != children:
            raise ValueError(f"{self.name} has {children} child types")
        return self

    @classmethod
    def list_of(cls, item: "ColumnType") -> Self:
        """A LIST of that type."""
        return cls(name="LIST", children=(("item", item),))

    @property
    def family(self) -> Family:
        """The family of the type."""
        return FAMILIES[self.name]

    @property
    def item(self) -> "ColumnType":
        """The type of a list's elements."""
        return self.children[0][1]

    def member(self, name: str) -> "ColumnType | None":
        """The type of a STRUCT's member, or None."""
        return next((child for child_name, child in self.children if child_name == name), None)

    def walk(self) -> Iterator["ColumnType"]:
        """This type and all types within it, depth first."""
        yield self
        for _, child in self.children:
            yield from child.walk()

    def depth(self, *names: str) -> int:
        """The number of types along the deepest path, this one included; with ``names``, only types of these names."""
        here = not names or self.name in names
        return here + max((child.depth(*names) for _, child in self.children), default=0)

    def sql(self) -> str:
        """The type in DuckDB's SQL."""
        match self.name:
            case "DECIMAL":
                return f"DECIMAL({self.precision},{self.scale})"
            case "LIST":
                return f"{self.item.sql()}[]"
            case "STRUCT":
                members = ", ".join(f"{identifier(name)} {child.sql()}" for name, child in self.children)
                return f"STRUCT({members})"
            case "MAP":
                return f"MAP({', '.join(child.sql() for _, child in self.children)})"
            case _:
                return self.name


TEXT = ColumnType(name="VARCHAR")
BIGINT = ColumnType(name="BIGINT")
DOUBLE = ColumnType(name="DOUBLE")
BOOLEAN = ColumnType(name="BOOLEAN")
DATE = ColumnType(name="DATE")
TIMESTAMP = ColumnType(name="TIMESTAMP WITH TIME ZONE")
JSON = ColumnType(name="JSON")
EXACT_INTEGER = ColumnType(name="DECIMAL", precision=38, scale=0)
MONEY = ColumnType(name="STRUCT", children=(("amount", BIGINT), ("currencyCode", TEXT)))
"""The amount is in the smallest unit of the currency."""
