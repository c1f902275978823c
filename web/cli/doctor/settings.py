"""What is configured: every setting with its value, secrets left out, and names that nobody reads."""

import os
from collections.abc import Iterator, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from web.cli.doctor.findings import Finding, note, ok, problem
from web.environment import deprecated_variables, unknown_variables, variable_of
from web.settings import SETTINGS

_AREA = "settings"
_SECRETS = frozenset({"api_keys", "signing_keys", "jwt_secret", "azure_connection_string"})
_LISTS = frozenset({"api_keys", "signing_keys"})
_URLS = frozenset({"azure_account_url", "jwks_url", "base_url"})

_SettingsT = TypeVar("_SettingsT", bound=BaseSettings)


class Configured:
    """The settings of this environment, as far as they can be read."""

    def __init__(self) -> None:
        self._made: dict[type[BaseSettings], BaseSettings] = {}
        self.findings: list[Finding] = []
        for kind in SETTINGS:
            try:
                self._made[kind] = kind()
            except ValidationError as error:
                self.findings += _wrong(error)
        self.findings += _check_names(os.environ)
        if not self.findings:
            self.findings.append(ok(_AREA, f"{len(self.values())} read"))

    def get(self, kind: type[_SettingsT]) -> _SettingsT | None:
        """The settings of that class, or None if they cannot be read."""
        found = self._made.get(kind)
        return found if isinstance(found, kind) else None

    def values(self) -> dict[str, object]:
        """Values by the name of their variable, without secrets."""
        return {
            variable_of(kind, name): _shown(name, getattr(made, name))
            for kind, made in self._made.items()
            for name in kind.model_fields
        }


def _shown(name: str, value: object) -> object:
    """The value, or no more of it than may stand in a bug report."""
    if value in (None, ""):
        return None
    if name in _LISTS:
        return f"set, {len(list(filter(str.strip, str(value).split(','))))} in all"
    if name in _SECRETS:
        return "set"
    if name in _URLS:
        parts = urlsplit(str(value))
        # A signature stands behind the question mark, a password before the host.
        bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return bare + ("?..." if parts.query else "")
    return value if isinstance(value, int) else str(value)


def _wrong(error: ValidationError) -> Iterator[Finding]:
    for one in error.errors(include_input=False, include_url=False):
        name = str(one["loc"][0])
        variable = name if name.isupper() else f"TAILRACE_{name.upper()}"
        yield problem(_AREA, f"{variable}: {one['msg']}", "correct it; .env.example lists every setting")


def _check_names(environment: Mapping[str, str]) -> Iterator[Finding]:
    for deprecated in deprecated_variables(environment):
        yield note(_AREA, f"{deprecated.name} is deprecated", f"use {' and '.join(deprecated.current)} instead")
    for unknown in unknown_variables(environment):
        if unknown.nearest:
            yield problem(_AREA, f"{unknown.name} is not a setting", f"did you mean {unknown.nearest}?")
        else:
            yield note(_AREA, f"{unknown.name} is not a setting", "nothing reads it: remove it if it is a mistake")
