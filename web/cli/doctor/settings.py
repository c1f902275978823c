"""Checks of the settings: invalid values, unknown names, and a list of all values without secrets."""

import os
from collections.abc import Iterator, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from web.cli.doctor.findings import Finding, note, ok, problem
from web.cli.terminal.progress_bar import counted
from web.environment import deprecated_variables, unknown_variables, variable_of
from web.settings import SETTINGS

_AREA = "settings"
_SECRETS = frozenset({"api_keys", "signing_keys", "jwt_secret", "azure_connection_string"})
_LISTS = frozenset({"api_keys", "signing_keys", "jwt_secret"})
_URLS = frozenset({"azure_account_url", "jwks_url", "base_url"})

_SettingsT = TypeVar("_SettingsT", bound=BaseSettings)


class Configured:
    """The settings of this environment that are valid, and findings about the others."""

    def __init__(self) -> None:
        self._loaded: dict[type[BaseSettings], BaseSettings] = {}
        self.findings: list[Finding] = []
        for kind in SETTINGS:
            try:
                self._loaded[kind] = kind()
            except ValidationError as error:
                self.findings += _invalid(error)
        self.findings += _check_names(os.environ)
        if not self.findings:
            self.findings.append(ok(_AREA, f"{counted(len(self.values()), 'setting')} read"))

    def get(self, kind: type[_SettingsT]) -> _SettingsT | None:
        """Return the settings of a class, or None if they are invalid."""
        loaded = self._loaded.get(kind)
        return loaded if isinstance(loaded, kind) else None

    def values(self) -> dict[str, object]:
        """Return the values by variable name, without secrets."""
        return {
            variable_of(kind, name): _redacted(name, getattr(loaded, name))
            for kind, loaded in self._loaded.items()
            for name in kind.model_fields
        }


def _redacted(name: str, value: object) -> object:
    """Return the value, or as much of it as is safe in a bug report."""
    if value in (None, ""):
        return None
    if name in _LISTS:
        return f"set, {len(list(filter(str.strip, str(value).split(','))))} in total"
    if name in _SECRETS:
        return "set"
    if name in _URLS:
        parts = urlsplit(str(value))
        # The query may contain a signature, and the part before the host a password.
        bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return bare + ("?..." if parts.query else "")
    return value if isinstance(value, int) else str(value)


def _invalid(error: ValidationError) -> Iterator[Finding]:
    for one in error.errors(include_input=False, include_url=False):
        name = str(one["loc"][0])
        variable = name if name.isupper() else f"TAILRACE_{name.upper()}"
        yield problem(_AREA, f"{variable}: {one['msg']}", "correct it; .env.example lists all settings")


def _check_names(environment: Mapping[str, str]) -> Iterator[Finding]:
    for deprecated in deprecated_variables(environment):
        yield note(_AREA, f"{deprecated.name} is deprecated", f"use {' and '.join(deprecated.current)} instead")
    for unknown in unknown_variables(environment):
        if unknown.nearest:
            yield problem(_AREA, f"{unknown.name} is not a setting", f"did you mean {unknown.nearest}?")
        else:
            yield note(_AREA, f"{unknown.name} is not a setting", "it has no effect: remove it if it is a mistake")
