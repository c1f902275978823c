"""Reads ``--param NAME=VALUE``."""

import re
from collections.abc import Iterable

import click

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_parameters(pairs: Iterable[str]) -> dict[str, str]:
    """Return the values by name. Raises BadParameter."""
    values: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not _NAME.fullmatch(name):
            raise _bad(f"{pair!r} is not NAME=VALUE, as in city=Rome; a statement uses it as $city.")
        if name in values:
            raise _bad(f"{name} is given twice.")
        values[name] = value
    return values


def _bad(reason: str) -> click.BadParameter:
    return click.BadParameter(reason, param_hint="--param")
