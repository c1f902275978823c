"""One stored type for a column whose files disagree: the narrowest that holds every value of each, or none."""

from collections.abc import Sequence

from engine.catalog.types import DOUBLE, EXACT_INTEGER, INTEGER_BITS, ColumnType, Family

_WIDEST = 38
_NUMERIC = (Family.INTEGER, Family.DECIMAL)


def reconcile_all(types: Sequence[ColumnType]) -> ColumnType | None:
    """The type for all of these, at least one, or None if there is none."""
    known: ColumnType | None = types[0]
    for type_ in types[1:]:
        known = None if known is None else reconcile(known, type_)
    return known


def reconcile(one: ColumnType, other: ColumnType) -> ColumnType | None:
    """The type for both, or None if there is none. Whole numbers beside fractions become DOUBLE: casts are checked."""
    if one == other:
        return one
    families = {one.family, other.family}
    if families == {Family.INTEGER}:
        return _integer(one, other)
    if families <= set(_NUMERIC):
        return _decimal(one, other)
    if families <= {*_NUMERIC, Family.FLOAT}:
        return DOUBLE
    if one.name == other.name and one.children and other.children:
        return _nested(one, other)
    return None


def _integer(one: ColumnType, other: ColumnType) -> ColumnType:
    (bits, signed), (other_bits, other_signed) = INTEGER_BITS[one.name], INTEGER_BITS[other.name]
    if signed == other_signed:
        return one if bits >= other_bits else other
    needed = max(bits + (not signed), other_bits + (not other_signed))
    fitting = (name for name, (width, with_sign) in INTEGER_BITS.items() if with_sign and width >= needed)
    name = next(fitting, None)
    return EXACT_INTEGER if name is None else ColumnType(name=name)


def _decimal(one: ColumnType, other: ColumnType) -> ColumnType | None:
    sizes = [_size(one), _size(other)]
    scale = max(scale for _, scale in sizes)
    precision = max(whole for whole, _ in sizes) + scale
    return ColumnType(name="DECIMAL", precision=precision, scale=scale) if precision <= _WIDEST else None


def _size(type_: ColumnType) -> tuple[int, int]:
    """Digits before and after the point."""
    if type_.family is Family.INTEGER:
        bits, _ = INTEGER_BITS[type_.name]
        return len(str(1 << bits)), 0
    return (type_.precision or 0) - (type_.scale or 0), type_.scale or 0


def _nested(one: ColumnType, other: ColumnType) -> ColumnType | None:
    if one.family is not Family.OBJECT:
        pairs = zip(one.children, other.children, strict=True)
        children = [(name, reconcile(child, other_child)) for (name, child), (_, other_child) in pairs]
    else:
        others = dict(other.children)
        children = [(name, reconcile(child, others.pop(name, child))) for name, child in one.children]
        if {name.lower() for name, _ in one.children} & {name.lower() for name in others}:
            return None
        children += others.items()
    known = tuple((name, child) for name, child in children if child is not None)
    return ColumnType(name=one.name, children=known) if len(known) == len(children) else None
