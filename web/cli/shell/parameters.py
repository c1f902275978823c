"""Reads options of the form ``NAME=VALUE``: parameters of statements, and an operator's own files."""

import re
from collections.abc import Iterable
from pathlib import Path

import click

from engine.errors import InvalidInput
from engine.query.inspect.own_files import OwnData, OwnDatabase, OwnFile

_NAME = re.compile(r"[^\W\d]\w*")


def read_parameters(pairs: Iterable[str]) -> dict[str, str]:
    """Return the values of ``--param`` by name. Raises BadParameter."""
    return _by_name(pairs, "--param", "NAME=VALUE, as in city=Rome; a statement uses it as $city")


def read_own_data(files: Iterable[str], databases: Iterable[str]) -> OwnData:
    """Return what ``--file`` and ``--attach`` name. Raises BadParameter."""
    attached = _by_name(map(_with_name, databases), "--attach", "NAME=PATH; the name of this file cannot be one")
    named = _by_name(files, "--file", "NAME=PATH, as in prices=prices.csv; a statement uses it as FROM prices")
    try:
        return OwnData(
            tuple(OwnFile(name, Path(path)) for name, path in named.items()),
            tuple(OwnDatabase(name, Path(path)) for name, path in attached.items()),
        )
    except InvalidInput as error:
        raise click.BadParameter(f"{error.message} Attach a database with --attach.", param_hint="--file") from error


def _with_name(database: str) -> str:
    name, separator, _ = database.partition("=")
    return database if separator and _NAME.fullmatch(name) else f"{Path(database).stem}={database}"


def _by_name(pairs: Iterable[str], option: str, form: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not _NAME.fullmatch(name):
            raise click.BadParameter(f"{pair!r} is not {form}.", param_hint=option)
        if name.lower() in map(str.lower, values):
            raise click.BadParameter(f"{name} is given twice.", param_hint=option)
        values[name] = value
    return values
