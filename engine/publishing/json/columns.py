"""What all rows have in one place, and the stored type that holds every value of it.

- Text stays text: a value that looks like a date or a number is one only if the publisher declares it.
- A column of scalars of several kinds is text, each as it is written in the file; inside of objects and lists such
  values stay JSON, which keeps each of them as it is.
- What no type holds exactly is JSON: objects beside lists or scalars, names that differ in letter case only, objects
  with very many members (their names are data), and what is nested deeper than `MAX_NESTED` levels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.catalog.types import BIGINT, BOOLEAN, DOUBLE, EXACT_INTEGER, JSON, TEXT, ColumnType
from engine.publishing.json.shapes import Kind, Seen, Shape

MAX_NESTED = 6
"""Levels of objects and lists in a stored type: DuckDB's work on lists in lists grows with a power of their depth."""
MAX_MEMBERS = 1_000
"""Members of an object that is stored as one, rather than as JSON."""

_WHOLE = {Kind.WHOLE, Kind.LONG, Kind.MINUS_ZERO}
_EXACT_WHOLE = {*_WHOLE, Kind.HUGE}
SPELLED_OTHERWISE = frozenset(
    {Kind.FRACTION, Kind.LONG_FRACTION, Kind.OUT_OF_RANGE, Kind.NOT_A_NUMBER, Kind.MINUS_ZERO}
)
"""Numbers of which DuckDB would make another text."""


@dataclass(slots=True)
class Place:
    """The values of one column, or of one place within it."""

    kinds: set[Kind] = field(default_factory=set)
    members: dict[str, "Place"] | None = None
    item: "Place | None" = None
    is_open: bool = False
    """Whether its members are too many to be listed."""

    def add(self, seen: Seen) -> None:
        """Take in one more value."""
        if not isinstance(seen, Shape):
            self.kinds.add(seen)
        elif seen.members is None:
            self.item = self.item or Place()
            for inner in seen.items:
                self.item.add(inner)
        else:
            self.members = {} if self.members is None else self.members
            for name, inner in seen.members:
                place = self.members.get(name)
                if place is None:
                    place = self.members[name] = Place()
                place.add(inner)

    def bound(self) -> None:
        """Let go of the members of objects that have too many, at any depth below this place."""
        for place in self._below():
            place.bound()
            if place.members is not None and len(place.members) > MAX_MEMBERS:
                place.is_open = True
                kinds = [inner.holds(Kind.NOT_A_NUMBER) for inner in place.members.values()]
                place.members = {}
                if any(kinds):
                    place.kinds.add(Kind.NOT_A_NUMBER)

    def holds(self, kind: Kind) -> bool:
        """Whether any value at or below this place is of the kind."""
        return kind in self.kinds or any(place.holds(kind) for place in self._below())

    @property
    def scalars(self) -> set[Kind]:
        """The kinds of its scalars; null is none."""
        return self.kinds - {Kind.NULL}

    def _below(self) -> Iterator["Place"]:
        yield from (self.members or {}).values()
        if self.item is not None:
            yield self.item


def type_of_column(place: Place) -> ColumnType:
    """The stored type of a column."""
    if place.members is not None or place.item is not None:
        return _type(place, MAX_NESTED)
    return _scalar(place.scalars) or TEXT


def is_mixed(place: Place) -> bool:
    """Whether a column of scalars is text because of what else is in it."""
    return type_of_column(place) == TEXT and not place.scalars <= {Kind.TEXT}


def _type(place: Place, levels: int) -> ColumnType:
    scalars = place.scalars
    if place.members is None and place.item is None:
        return _scalar({Kind.FRACTION if kind is Kind.LONG_FRACTION else kind for kind in scalars}) or JSON
    if scalars or (place.members is not None and place.item is not None) or levels == 0:
        return JSON
    if place.item is not None:
        return ColumnType.list_of(_type(place.item, levels - 1))
    names = list(place.members or {})
    folded = {name.lower() for name in names}
    # A STRUCT has no members without a name, or of one name but for case.
    if place.is_open or not names or len(folded) < len(names) or any(not name or "\0" in name for name in names):
        return JSON
    children = tuple((name, _type(inner, levels - 1)) for name, inner in (place.members or {}).items())
    return ColumnType(name="STRUCT", children=children)


def _scalar(kinds: set[Kind]) -> ColumnType | None:
    """The one type of these kinds, or None. Whole numbers beside fractions become doubles if that changes none."""
    if kinds <= {Kind.TEXT}:
        return TEXT
    if kinds == {Kind.BOOLEAN}:
        return BOOLEAN
    if kinds <= _WHOLE:
        return BIGINT
    if kinds <= _EXACT_WHOLE:
        return EXACT_INTEGER
    if kinds <= {Kind.WHOLE, Kind.MINUS_ZERO, Kind.FRACTION, Kind.NOT_A_NUMBER}:
        return DOUBLE
    return None
