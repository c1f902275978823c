"""The environment variables of settings: their current names, names that are deprecated, and names that are unknown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from web.settings import SETTINGS

PREFIX = "TAILRACE_"
_OTHER_VARIABLES = frozenset({"TAILRACE_URL", "TAILRACE_KEY", "TAILRACE_ENV_FILE"})
"""Options of `tailrace mcp`, and the name of the file of settings: no settings themselves."""
_MIN_SIMILARITY = 0.85


@dataclass(frozen=True, slots=True)
class DeprecatedVariable:
    """A variable that is set under an old name. ``current`` are the names that replace it."""

    name: str
    current: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnknownVariable:
    """A variable that begins as settings do and is not one. ``nearest`` is the setting that is spelled most like it."""

    name: str
    nearest: str | None


def variable_of(kind: type[BaseSettings], field: str) -> str:
    """Return the environment variable of a setting."""
    return _variables(kind, field)[0]


def deprecated_variables(environment: Mapping[str, str]) -> list[DeprecatedVariable]:
    """Return the variables that are set under an old name, in alphabetical order."""
    replacements: dict[str, list[str]] = {}
    for kind in SETTINGS:
        for field in kind.model_fields:
            current, *deprecated = _variables(kind, field)
            for name in deprecated:
                replacements.setdefault(name, []).append(current)
    return [
        DeprecatedVariable(name, tuple(replacements[name.upper()]))
        for name in _set(environment)
        if name.upper() in replacements
    ]


def unknown_variables(environment: Mapping[str, str]) -> list[UnknownVariable]:
    """Return the variables that begin with ``TAILRACE_`` and that nothing reads, in alphabetical order."""
    current = [variable_of(kind, field) for kind in SETTINGS for field in kind.model_fields]
    readable = {name for kind in SETTINGS for field in kind.model_fields for name in _variables(kind, field)}
    return [
        UnknownVariable(name, next(iter(get_close_matches(name.upper(), current, 1, cutoff=_MIN_SIMILARITY)), None))
        for name in _set(environment)
        if name.upper().startswith(PREFIX) and name.upper() not in readable | _OTHER_VARIABLES
    ]


def _set(environment: Mapping[str, str]) -> Iterator[str]:
    yield from (name for name in sorted(environment) if environment[name])


def _variables(kind: type[BaseSettings], field: str) -> list[str]:
    """The names that a setting is read from, as pydantic tries them."""
    alias = kind.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [alias] if isinstance(alias, str) else [f"{PREFIX}{field.upper()}"]
