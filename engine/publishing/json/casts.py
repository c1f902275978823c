"""From what the rows of JSON hold to declared types: what does not fit is found before a row is read, or refused then.

A value whose kind is not that of its declared type is read as text and then cast, after a check that the cast keeps it.
The SQL is linear in the size of the type: checks of values in lists go over one flat list for each of its places.
"""

from collections.abc import Iterator

from engine.catalog.schema import Field
from engine.catalog.types import BIGINT, BOOLEAN, DOUBLE, EXACT_INTEGER, JSON, TEXT, ColumnType, Family
from engine.common.quoting import literal
from engine.errors import InvalidInput, quoted_excerpt
from engine.publishing.json.columns import Place
from engine.publishing.json.shapes import Kind
from engine.publishing.types.lossless_casts import keeps_text
from engine.publishing.types.selecting import checked, from_text

_READ_AS_THEY_ARE = {
    BOOLEAN: {Kind.BOOLEAN},
    BIGINT: {Kind.WHOLE, Kind.LONG, Kind.MINUS_ZERO},
    EXACT_INTEGER: {Kind.WHOLE, Kind.LONG, Kind.MINUS_ZERO, Kind.HUGE},
    DOUBLE: {Kind.WHOLE, Kind.MINUS_ZERO, Kind.FRACTION, Kind.LONG_FRACTION, Kind.NOT_A_NUMBER},
}
"""Kinds of values that DuckDB's reader brings to a type without a change."""


def reading_type(field: Field, place: Place) -> ColumnType:
    """The type in which DuckDB reads the column. Raises InvalidInput for what cannot be in the declared type."""
    return _reading_type(field, field.type, place, field.name)


def conversion(field: Field, cell: str, read_as: ColumnType) -> str:
    """The cell in the field's stored type, or an error when the run is written."""
    if read_as == field.type:
        return cell
    checks = list(_checks(cell, False, read_as, field.type))
    value = f"CAST({cell} AS {field.type.sql()})" if field.type.children else from_text(cell, field.type)
    return checked(field, " AND ".join(checks) or None, value)


def _reading_type(field: Field, type_: ColumnType, place: Place, path: str) -> ColumnType:
    if type_ == JSON:
        if place.holds(Kind.NOT_A_NUMBER):
            raise InvalidInput(
                f"{field.name} has NaN or an infinity among values of other kinds: JSON has no such number, so write "
                "null or text instead."
            )
        return type_
    if type_ == TEXT:
        return type_
    if type_.family is Family.OBJECT:
        if place.scalars or place.item is not None or place.is_open:
            raise _misfit(field, path, place)
        members = place.members or {}
        undeclared = next((name for name in members if type_.member(name) is None), None)
        if undeclared is not None:
            raise InvalidInput(
                f"{path} has the member {quoted_excerpt(undeclared)}, which the schema does not declare: add it there."
            )
        children = (
            (name, _reading_type(field, child, members.get(name, Place()), f"{path}.{name}"))
            for name, child in type_.children
        )
        return ColumnType(name=type_.name, children=tuple(children))
    if type_.family is Family.LIST:
        if place.scalars or place.members is not None:
            raise _misfit(field, path, place)
        return ColumnType.list_of(_reading_type(field, type_.item, place.item or Place(), f"{path}[]"))
    if place.members is not None or place.item is not None:
        raise _misfit(field, path, place)
    return type_ if place.scalars <= _READ_AS_THEY_ARE.get(type_, set()) else TEXT


def _misfit(field: Field, path: str, place: Place) -> InvalidInput:
    found = [
        *(["objects"] if place.members is not None else []),
        *(["lists"] if place.item is not None else []),
        *(["text"] if Kind.TEXT in place.kinds else []),
        *(["numbers or booleans"] if place.scalars - {Kind.TEXT} else []),
    ]
    where = "" if path == field.name else f" at {path}"
    return InvalidInput(f"{field.name} is {field.data_type}, and the rows have {' and '.join(found)}{where}.")


def _checks(cells: str, many: bool, read_as: ColumnType, type_: ColumnType) -> Iterator[str]:
    """Conditions that are false if a cast changes a value; ``many`` says that the cells are in a list."""
    if read_as == type_:
        return
    if type_.family is Family.OBJECT:
        for (name, inner), (_, child) in zip(read_as.children, type_.children, strict=True):
            member = f"struct_extract({'cell' if many else cells}, {literal(name)})"
            yield from _checks(
                f"list_transform({cells}, lambda cell: {member})" if many else member, many, inner, child
            )
    elif type_.family is Family.LIST:
        yield from _checks(f"flatten({cells})" if many else cells, True, read_as.item, type_.item)
    else:
        keeps = keeps_text("cell" if many else cells, type_)
        if keeps is not None:
            broken = f"len(list_filter({cells}, lambda cell: NOT {keeps})) = 0"
            yield f"coalesce({broken}, TRUE)" if many else f"coalesce({keeps}, TRUE)"
