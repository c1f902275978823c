"""Column types as runs store them, and the families that decide what may be asked of a column.

Publishing brings every source type to one of these or refuses it, so the rest of the engine knows no other.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from engine.common.quoting import identifier

MAX_DEPTH = 64
"""Levels of a type. A run's manifest nests three brackets for each, and its reader (pydantic's) allows 200."""

MAX_LISTS = 16
"""Lists within lists: each is a lambda within a lambda in SQL, which takes DuckDB twice as long to bind as the last."""


class Family(Enum):
    """What a column is to a filter, a sort or a projection."""

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
"""The stored types, by DuckDB's names."""


_CHILDREN: dict[str, int | None] = {"LIST": 1, "MAP": 2, "STRUCT": None}
"""How many types are within one; None: any number."""


class ColumnType(BaseModel):
    """One stored type: a tree for nested ones.

    ``children`` are the members of a STRUCT by name, ``item`` of a LIST, ``key`` and ``value`` of a MAP.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    precision: int | None = None
    scale: int | None = None
    children: tuple[tuple[str, "ColumnType"], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Types are read from stored documents, and become SQL."""
        if self.name not in FAMILIES:
            raise ValueError("not a stored type")
        if (self.name == "DECIMAL") is (self.precision is None or self.scale is None):
            raise ValueError("a DECIMAL has precision and scale, and no other type has both")
        children = _CHILDREN.get(self.name, 0)
        if children is not None and len(self.children) != children:
            raise ValueError(f"{self.name} has {children} types within it")
        return self

    @classmethod
    def list_of(cls, item: "ColumnType") -> Self:
        """A LIST of that type."""
        return cls(name="LIST", children=(("item", item),))

    @property
    def family(self) -> Family:
        """The family, by `FAMILIES`."""
        return FAMILIES[self.name]

    @property
    def item(self) -> "ColumnType":
        """The type of a list's elements."""
        return self.children[0][1]

    def member(self, name: str) -> "ColumnType | None":
        """The type of a struct's member, or None."""
        return next((child for child_name, child in self.children if child_name == name), None)

    def walk(self) -> Iterator["ColumnType"]:
        """This type and all within it."""
        yield self
        for _, child in self.children:
            yield from child.walk()

    def depth(self, *names: str) -> int:
        """Levels of nested types along the deepest path; only those of these names count, if any are given."""
        here = not names or self.name in names
        return here + max((child.depth(*names) for _, child in self.children), default=0)

    def sql(self) -> str:
        """The type as DuckDB reads it."""
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
