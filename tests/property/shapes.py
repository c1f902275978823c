"""The types of generated columns, as trees, with the Arrow types that are published and those of exports."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

TEXT, UUID, INTEGER, DECIMAL, FLOAT, DOUBLE = "text", "uuid", "integer", "decimal", "float", "double"
BOOLEAN, DATE, TIMESTAMP, TIME, BINARY, JSON = "boolean", "date", "timestamp", "time", "binary", "json"
LIST, STRUCT, MAP = "list", "struct", "map"
UNQUOTED = (UUID, INTEGER, DECIMAL, FLOAT, DOUBLE, BOOLEAN, DATE, TIMESTAMP, TIME)
"""Types whose CSV cells never need quotes."""
NESTED = (LIST, STRUCT, MAP)


@dataclass(frozen=True)
class Shape:
    """One type. ``arrow`` is the type in the source, ``stored`` the type in a Parquet export."""

    family: str
    arrow: Any
    stored: Any
    children: tuple[tuple[str, "Shape"], ...] = ()

    @property
    def item(self) -> "Shape":
        """The type of a list's elements."""
        return self.children[0][1]

    def __repr__(self) -> str:
        return f"<{self.arrow}>"


def _leaf(family: str, arrow: Any, stored: Any = None) -> Shape:
    return Shape(family, arrow, stored or arrow)


_UTC = pa.timestamp("us", "UTC")
INTEGERS = [getattr(pa, f"{sign}int{bits}")() for bits in (8, 16, 32, 64) for sign in ("", "u")]
LEAVES: tuple[Shape, ...] = (
    *(_leaf(TEXT, type_, pa.string()) for type_ in (pa.string(), pa.string(), pa.string(), pa.large_string())),
    _leaf(UUID, pa.uuid()),
    *(_leaf(INTEGER, type_) for type_ in INTEGERS),
    *(
        _leaf(DECIMAL, pa.decimal128(*sizes))
        for sizes in ((38, 0), (38, 10), (38, 37), (18, 2), (9, 9), (4, 1), (1, 0))
    ),
    _leaf(FLOAT, pa.float32()),
    _leaf(DOUBLE, pa.float64()),
    _leaf(DOUBLE, pa.float64()),
    _leaf(BOOLEAN, pa.bool_()),
    _leaf(DATE, pa.date32()),
    _leaf(TIMESTAMP, _UTC),
    _leaf(TIMESTAMP, pa.timestamp("us", "Europe/Paris"), _UTC),
    *(_leaf(TIMESTAMP, pa.timestamp(unit), _UTC) for unit in ("s", "ms", "us", "ns")),
    _leaf(TIME, pa.time64("us")),
    _leaf(TIME, pa.time32("ms"), pa.time64("us")),
    _leaf(BINARY, pa.binary()),
    _leaf(BINARY, pa.large_binary(), pa.binary()),
    _leaf(JSON, pa.json_()),
)
TOP_LEAVES = (
    *LEAVES,
    _leaf(TEXT, pa.dictionary(pa.int32(), pa.string()), pa.string()),
    _leaf(TEXT, pa.null(), pa.string()),
)


def list_of(item: Shape) -> Shape:
    """A list type."""
    return Shape(LIST, pa.list_(item.arrow), pa.list_(item.stored), (("item", item),))


def struct_of(children: dict[str, Shape]) -> Shape:
    """An object type."""
    arrow = pa.struct([(name, child.arrow) for name, child in children.items()])
    stored = pa.struct([(name, child.stored) for name, child in children.items()])
    return Shape(STRUCT, arrow, stored, tuple(children.items()))


def map_of(key: Shape, value: Shape) -> Shape:
    """A map type; its values are lists of pairs."""
    return Shape(
        MAP, pa.map_(key.arrow, value.arrow), pa.map_(key.stored, value.stored), (("key", key), ("value", value))
    )


def same_type(wanted: Any, found: Any) -> bool:
    """Whether two Arrow types are equal, except for the names and nullability of inner fields."""
    if pa.types.is_list(wanted):
        return pa.types.is_list(found) and same_type(wanted.value_type, found.value_type)
    if pa.types.is_map(wanted):
        pairs = (
            ((wanted.key_type, wanted.item_type), (found.key_type, found.item_type)) if pa.types.is_map(found) else ()
        )
        return bool(pairs) and all(same_type(*pair) for pair in zip(*pairs, strict=True))
    if pa.types.is_struct(wanted):
        if not pa.types.is_struct(found) or [f.name for f in wanted] != [f.name for f in found]:
            return False
        return all(same_type(one.type, other.type) for one, other in zip(wanted, found, strict=True))
    return bool(wanted == found)


def to_arrow(shape: Shape, values: list[Any]) -> Any:
    """An Arrow array of the source type from Python values."""
    plain = pa.array([_plain(shape, value) for value in values], _plain_type(shape))
    return plain if plain.type == shape.arrow else plain.cast(shape.arrow)


def _plain_type(shape: Shape) -> Any:
    match shape.family:
        case "uuid":
            return pa.binary(16)
        case "json":
            return pa.string()
        case "list":
            return pa.list_(_plain_type(shape.item))
        case "map":
            return pa.map_(*(_plain_type(child) for _, child in shape.children))
        case "struct":
            return pa.struct([(name, _plain_type(child)) for name, child in shape.children])
        case _:
            return shape.arrow


def _plain(shape: Shape, value: Any) -> Any:
    if value is None:
        return None
    match shape.family:
        case "list":
            return [_plain(shape.item, item) for item in value]
        case "map":
            key, inner = (child for _, child in shape.children)
            return [(_plain(key, name), _plain(inner, item)) for name, item in value]
        case "struct":
            return {name: _plain(child, value[name]) for name, child in shape.children}
        case _:
            if isinstance(value, uuid.UUID):
                return value.bytes
            if isinstance(value, datetime) and shape.arrow.tz is None:
                return value.replace(tzinfo=None)
            return value


@dataclass(frozen=True)
class Place:
    """A column, or a field within an object, that a request can name."""

    path: str
    shape: Shape
    names: tuple[str, ...]

    def of(self, row: dict[str, Any]) -> Any:
        """Its value in a row; None within a null."""
        value: Any = row
        for name in self.names:
            value = None if value is None else value[name]
        return value


def places(columns: dict[str, Shape]) -> dict[str, Place]:
    """All columns and nested fields; a column whose name has dots takes precedence over a path (`Schema.find`)."""
    found: dict[str, Place] = {}
    level = [Place(name, shape, (name,)) for name, shape in columns.items()]
    while level:
        for place in level:
            found.setdefault(place.path, place)
        level = [inner for place in level for inner in _members(place)]
    return found


def flattened(place: Place) -> Iterator[Place]:
    """The members of an object at any depth that are no objects; else the place itself."""
    members = list(_members(place))
    for member in members:
        yield from flattened(member)
    if not members:
        yield place


def _members(place: Place) -> Iterator[Place]:
    if place.shape.family == STRUCT:
        for name, child in place.shape.children:
            yield Place(f"{place.path}.{name}", child, (*place.names, name))
