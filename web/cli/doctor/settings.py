"""What is configured: every setting with its value, secrets left out, and names that nobody reads."""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from web.cli.doctor.findings import Finding, note, ok, problem
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
        self.findings += _unread(os.environ)
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


def variable_of(kind: type[BaseSettings], name: str) -> str:
    """The environment variable of a setting."""
    alias = kind.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"TAILRACE_{name.upper()}"


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


def _unread(environment: Mapping[str, str]) -> Iterator[Finding]:
    known = [variable_of(kind, name) for kind in SETTINGS for name in kind.model_fields]
    for name in sorted(environment):
        if not name.upper().startswith("TAILRACE_") or name.upper() in known:
            continue
        near = get_close_matches(name.upper(), known, 1, cutoff=0.85)
        if near:
            yield problem(_AREA, f"{name} is no setting", f"did you mean {near[0]}?")
        else:
            yield note(_AREA, f"{name} is no setting", "nobody reads it: remove it if it is a mistake")
