"""Combines ``--filter 'FIELD OPERATOR [VALUE]'`` and ``--filters JSON`` into the JSON array of the API."""

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
"""Suggested but not accepted: without quotes, a shell takes > and < for redirections."""

_TEXTS = frozenset({ValueShape.TEXT, ValueShape.DATE})


@dataclass(frozen=True, slots=True)
class Filters:
    """The JSON text of the array, with numbers as they were typed, and the option that each entry came from."""

    text: str
    origins: dict[str, str]

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Within the block, errors name the option that was typed rather than an index of the combined array."""
        try:
            yield
        except InvalidFilter as error:
            entry = str(error.details.get("entry"))
            message = self.with_origin(error.message, entry)
            raise InvalidFilter(message, parameter=error.parameter, entry=entry) from error

    def with_origin(self, message: str, entry: str) -> str:
        """Return the message with the typed option in place of ``filters[n]``."""
        return message.replace(entry, self.origins.get(entry, entry), 1)


def read_filters(array: str | None, typed: Sequence[str]) -> Filters:
    """Combine both options, the array first. Raises BadParameter for what is invalid whatever the run."""
    entries = [] if array is None else [_inside(array)]
    first = 0 if array is None else len(_parsed(array))
    origins = {f"filters[{first + index}]": f"--filter {text!r}" for index, text in enumerate(typed)}
    entries += [_entry(text) for text in typed]
    return Filters(f"[{','.join(filter(None, entries))}]", origins)


def _parsed(array: str) -> list[object]:
    try:
        entries = loads(array)
    except ValueError as error:
        raise click.BadParameter(f"it is {error}.", param_hint="--filters") from error
    if not isinstance(entries, list):
        raise click.BadParameter(
            'it must be a JSON array such as [{"field":"price","operator":"GREATER_THAN","value":100}].',
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
        raise _bad(f"{text!r}: unknown operator {name!r}{_hint(name.upper())}")
    members = {"field": _quoted(field), "operator": _quoted(operator.name)}
    if value:
        members["value"] = _value(value.rstrip(), operator)
    return "{" + ",".join(f'"{member}":{written}' for member, written in members.items()) + "}"


def _value(text: str, operator: Operator) -> str:
    """Return JSON as it is and other text as a JSON string; for text operators, numbers are text, too."""
    try:
        value = loads(text)
    except ValueError:
        return _quoted(text)
    return _quoted(text) if operator.value in _TEXTS and not isinstance(value, str) else text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _hint(name: str) -> str:
    near = _SIGNS.get(name) or next(iter(get_close_matches(name, OPERATORS, 1)), None)
    return f": did you mean {near}?" if near else f"; use one of {', '.join(OPERATORS)}."


def _bad(reason: str) -> click.BadParameter:
    return click.BadParameter(reason, param_hint="--filter")
