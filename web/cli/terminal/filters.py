"""``--filter 'FIELD OPERATOR [VALUE]'`` and ``--filters JSON`` as the one array of the contract."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

import click

from engine.common.strict_json import loads
from engine.errors import InvalidFilter
from engine.request.operators import OPERATORS, Operator, ValueShape

_SIGNS = {
    "=": "EQUALS",
    "==": "EQUALS",
    "!=": "NOT_EQUALS",
    "<>": "NOT_EQUALS",
    ">": "GREATER_THAN",
    "<": "LESS_THAN",
    ">=": "GREATER_THAN_OR_EQUAL",
    "<=": "LESS_THAN_OR_EQUAL",
}
"""What people try first. Only told, not taken: a shell reads > and < as files wherever the quotes are forgotten."""

_TEXTS = frozenset({ValueShape.TEXT, ValueShape.DATE})


@dataclass(frozen=True, slots=True)
class Filters:
    """JSON text of the array, in which every number stands as it was typed, and what errors call its entries."""

    text: str
    places: dict[str, str]

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Errors of entries name what was typed, not a place in an array that nobody saw."""
        try:
            yield
        except InvalidFilter as error:
            place = str(error.details.get("entry"))
            message = self.told(error.message, place)
            raise InvalidFilter(message, parameter=error.parameter, entry=place) from error

    def told(self, message: str, place: str) -> str:
        """The message with the entry's place as it was typed."""
        return message.replace(place, self.places.get(place, place), 1)


def read_filters(array: str | None, typed: Sequence[str]) -> Filters:
    """Both options together, the array first. Raises BadParameter for what can be told without any run."""
    entries = [] if array is None else [_inside(array)]
    first = 0 if array is None else len(_parsed(array))
    places = {f"filters[{first + index}]": f"--filter {text!r}" for index, text in enumerate(typed)}
    entries += [_entry(text) for text in typed]
    return Filters(f"[{','.join(filter(None, entries))}]", places)


def _parsed(array: str) -> list[object]:
    try:
        entries = loads(array)
    except ValueError as error:
        raise click.BadParameter(f"it is {error}.", param_hint="--filters") from error
    if not isinstance(entries, list):
        raise click.BadParameter(
            'it is a JSON array such as [{"field":"price","operator":"GREATER_THAN","value":100}].',
            param_hint="--filters",
        )
    return entries


def _inside(array: str) -> str:
    return array.strip()[1:-1].strip()


def _entry(text: str) -> str:
    field, name, value = (*text.split(None, 2), "", "", "")[:3]
    if not name:
        raise _bad(f"{text!r} is not FIELD OPERATOR [VALUE], as in 'price GREATER_THAN 100'.")
    operator = OPERATORS.get(name.upper())
    if operator is None:
        raise _bad(f"{text!r}: there is no operator {name!r}{_hint(name.upper())}")
    members = {"field": _quoted(field), "operator": _quoted(operator.name)}
    if value:
        members["value"] = _value(value.rstrip(), operator)
    return "{" + ",".join(f'"{member}":{written}' for member, written in members.items()) + "}"


def _value(text: str, operator: Operator) -> str:
    """JSON if it can be read as JSON, else the text itself; never a number where only text can be meant."""
    try:
        value = loads(text)
    except ValueError:
        return _quoted(text)
    return _quoted(text) if operator.value in _TEXTS and not isinstance(value, str) else text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _hint(name: str) -> str:
    near = _SIGNS.get(name) or next(iter(get_close_matches(name, OPERATORS, 1)), None)
    return f": did you mean {near}?" if near else f"; there are {', '.join(OPERATORS)}."


def _bad(reason: str) -> click.BadParameter:
    return click.BadParameter(reason, param_hint="--filter")
